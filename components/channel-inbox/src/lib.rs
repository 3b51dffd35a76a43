//! The sandbox's KakaoTalk: an adapter of the port `sugang:notification/channel` that puts every message into an
//! inbox (a table of its own store, label `inbox`) instead of on somebody's phone.
//!
//! It keeps what KakaoTalk's business messages promise: a message id is delivered once, however often it is
//! sent, and a repeated send gets the first receipt. How often each was sent is counted, so that a test can tell
//! "sent twice" from "sent once" by looking. Two customers behave badly on purpose, see [`Temper`].
//!
//! Since nobody's telephone rings, what is sent to a telephone is also written to the log: `[inbox] to <number>: <body>`.
//! That is how whoever tries the system out comes by the code to sign in with, and no adapter that reaches people may do it.
//!
//! What it deliberately does not do: look up phone numbers.

mod inbox;

pub use bindings::exports::sugang::notification::channel::{Message, Receipt, SendError};
pub use inbox::DATABASE;

use kernel::Timestamp;
use store::Storage;

/// The port as the WIT package says it.
mod bindings {
    #![allow(missing_docs, unsafe_code, unreachable_pub, reason = "generated code, documented in the WIT")]
    ::spin_sdk::wit_bindgen::generate!({
        path: "../../wit/notification",
        world: "channel-inbox",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        additional_derives: [::serde::Serialize],
    });
    // A native build is for tests only, and its linker takes no such names.
    #[cfg(target_arch = "wasm32")]
    export!(Inbox with_types_in self);
    #[cfg(target_arch = "wasm32")]
    use super::Inbox;
}

/// The adapter that is exported.
pub struct Inbox;

impl bindings::exports::sugang::notification::channel::Guest for Inbox {
    async fn send(messages: Vec<Message>) -> Vec<Result<Receipt, SendError>> {
        for message in messages.iter().filter(|message| message.to.starts_with('+')) {
            eprintln!("{}", log_line(message));
        }
        take(&DATABASE, &messages, Timestamp::now()).await
    }

    async fn peek(prefix: String, limit: u32) -> Option<Vec<Message>> {
        // Whoever looks sees nothing rather than a failure: it is for trying things out.
        let newest = inbox::newest(&DATABASE, &prefix, limit).await;
        Some(newest.unwrap_or_else(|error| {
            eprintln!("looking into the inbox: {error}");
            Vec::new()
        }))
    }

    async fn forget(phone: String) -> Result<(), String> {
        forget(&DATABASE, &phone).await
    }
}

/// What the log says of a message to a telephone.
fn log_line(message: &Message) -> String {
    format!("[inbox] to {}: {}", message.to, message.body.replace('\n', " "))
}

/// Deletes the messages to a telephone.
pub async fn forget(storage: &impl Storage, phone: &str) -> Result<(), String> {
    inbox::forget(storage, phone).await.map_err(|error| error.to_string())
}

/// Takes messages at `now`, and answers for each of them, in their order, when they are on disk.
pub async fn take(
    storage: &impl Storage,
    messages: &[Message],
    now: Timestamp,
) -> Vec<Result<Receipt, SendError>> {
    let reachable = messages.iter().filter(|message| Temper::of(&message.to) == Temper::Patient);
    let mut receipts = inbox::put(storage, reachable, now).await;
    let answer = |message: &Message| match (Temper::of(&message.to), &mut receipts) {
        (Temper::Busy, _) => {
            Err(SendError::Retryable("the sandbox never gets through to this customer".to_owned()))
        }
        (Temper::Unknown, _) => Err(SendError::Permanent("the sandbox knows no such customer".to_owned())),
        (Temper::Patient, Ok(receipts)) => receipts
            .remove(&message.id)
            .ok_or_else(|| SendError::Retryable("the inbox gave no receipt".to_owned())),
        (Temper::Patient, Err(error)) => Err(SendError::Retryable(error.to_string())),
    };
    messages.iter().map(answer).collect()
}

/// How a customer's phone behaves.
///
/// Customers that no application has by accident stand for what goes wrong with real ones: 9000000000000503 is
/// always busy and 9000000000000404 does not exist, after the HTTP statuses.
#[derive(Debug, PartialEq, Eq)]
enum Temper {
    Patient,
    Busy,
    Unknown,
}

impl Temper {
    fn of(to: &str) -> Self {
        match to {
            "9000000000000503" => Self::Busy,
            "9000000000000404" => Self::Unknown,
            _ => Self::Patient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::native::{Engine, Store, at_once};

    store::on_postgres!(
        each_message_of_a_batch_is_answered_in_its_place_and_the_batch_is_one_statement,
        a_message_sent_again_is_counted_and_gets_the_first_receipt,
        a_store_that_fails_takes_nothing_and_may_take_it_later,
        the_newest_messages_of_a_kind_are_shown_and_those_to_a_telephone_can_be_forgotten,
    );

    fn message(id: &str, to: &str) -> Message {
        Message {
            id: id.to_owned(),
            to: to.to_owned(),
            phone: to.starts_with('+').then(|| to.to_owned()),
            language: "ko".to_owned(),
            template: "Paid".to_owned(),
            variables: vec![("order".to_owned(), "1".to_owned())],
            body: format!("hello {to}"),
        }
    }

    fn take(inbox: &Store, messages: &[Message], at: i64) -> Vec<String> {
        let taken = at_once(super::take(inbox, messages, Timestamp::from_millis(at))).unwrap();
        let told = |answer| match answer {
            Ok(Receipt { number, accepted_at }) => format!("{number} {accepted_at}"),
            Err(SendError::Retryable(_)) => "later".to_owned(),
            Err(SendError::Permanent(_)) => "never".to_owned(),
        };
        taken.into_iter().map(told).collect()
    }

    #[test]
    fn only_the_two_special_customers_behave_badly() {
        assert_eq!(Temper::of("1"), Temper::Patient);
        assert_eq!(Temper::of("order/1113"), Temper::Patient);
        assert_eq!(Temper::of("9000000000000503"), Temper::Busy);
        assert_eq!(Temper::of("9000000000000404"), Temper::Unknown);
    }

    #[test]
    fn each_message_of_a_batch_is_answered_in_its_place_and_the_batch_is_one_statement() {
        let inbox = Store::new(&DATABASE);
        let batch = [
            message("order:1:1", "7"),
            message("order:2:1", "9000000000000503"),
            message("order:3:1", "9000000000000404"),
            message("order:4:1", "order/4"),
        ];
        let at = Timestamp::from_millis(1);
        let told = take(&inbox, &batch, 1);
        assert_eq!(told, [format!("1 {at}"), "later".to_owned(), "never".to_owned(), format!("2 {at}")]);
        assert_eq!(inbox.statements(), 1);
        take(&inbox, &batch[1..3], 1);
        assert_eq!(inbox.statements(), 1, "nothing is asked of the store about nobody");
    }

    #[test]
    fn a_message_sent_again_is_counted_and_gets_the_first_receipt() {
        let inbox = Store::new(&DATABASE);
        let [first, second] = [message("order:1:1", "7"), message("pay:1:1", "7")];
        let at = |at: i64| Timestamp::from_millis(at);
        // On PostgreSQL a number is gone with the message that was there already.
        let next = if Engine::current() == Engine::Postgres { 3 } else { 2 };
        assert_eq!(take(&inbox, std::slice::from_ref(&first), 1), [format!("1 {}", at(1))]);
        assert_eq!(take(&inbox, &[first, second], 3), [format!("1 {}", at(1)), format!("{next} {}", at(3))]);
        let rows = inbox.run("SELECT message_id, deliveries, recipient, language, body FROM inbox", &[]);
        let shown: Vec<_> = rows.unwrap().iter().map(|row| format!("{:?}", row.values())).collect();
        let text = |text: &str| format!("Value::Text({text:?})");
        let row = |id, deliveries| {
            let rest = ["7", "ko", "hello 7"].map(text).join(", ");
            format!("[{}, Value::Integer({deliveries}), {rest}]", text(id))
        };
        assert_eq!(shown, [row("order:1:1", 2), row("pay:1:1", 1)]);
    }

    #[test]
    fn the_newest_messages_of_a_kind_are_shown_and_those_to_a_telephone_can_be_forgotten() {
        let inbox = Store::new(&DATABASE);
        let phones = ["+821011111111", "+821022222222"];
        let batch = [
            message("code:a", phones[0]),
            message("order:1:1", "7"),
            message("code:b", phones[1]),
            message("code:c", phones[0]),
        ];
        take(&inbox, &batch, 1);
        let shown = |limit| {
            let newest = at_once(inbox::newest(&inbox, "code:", limit)).unwrap().unwrap();
            newest.into_iter().map(|message| message.id).collect::<Vec<_>>()
        };
        assert_eq!(
            (shown(2), shown(9)),
            (vec!["code:c".into(), "code:b".into()], {
                let all = ["code:c", "code:b", "code:a"];
                all.map(str::to_owned).to_vec()
            })
        );
        at_once(forget(&inbox, phones[0])).unwrap().unwrap();
        assert_eq!(shown(9), ["code:b"]);
        assert_eq!(inbox.number("SELECT count(*) FROM inbox").unwrap(), 2);
    }

    #[test]
    fn only_this_sandbox_says_what_it_was_given_and_in_one_line() {
        let two_lines =
            Message { body: "123456\nfive minutes".to_owned(), ..message("code:a", "+821011111111") };
        assert_eq!(log_line(&two_lines), "[inbox] to +821011111111: 123456 five minutes");
    }

    #[test]
    fn a_store_that_fails_takes_nothing_and_may_take_it_later() {
        let inbox = Store::new(&DATABASE);
        inbox.run("DROP TABLE inbox", &[]).unwrap();
        assert_eq!(take(&inbox, &[message("order:1:1", "7")], 1), ["later"]);
    }

    #[test]
    fn the_store_is_the_same_on_both_databases() {
        store::native::assert_same_on_both(&DATABASE);
    }
}
