//! What an applicant can keep: the messages they got, a receipt, and the course in their calendar.

use crate::client::{Context, Trouble, found};
use crate::documents::{List, Notification, Pay};
use crate::filters;
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use crate::pages::order::know;
use crate::view::{Known, Stage};
use askama::Template;
use hal::{Response, StatusCode};
use kernel::{OrderId, PayStatus, Timestamp};

/// A line of a calendar file has so many bytes at the most (RFC 5545 §3.1).
const FOLD_AT: usize = 74;

struct Bubble {
    language: String,
    lines: Vec<String>,
    when: String,
    delivery: &'static str,
}

#[derive(Template)]
#[template(path = "messages.html")]
struct MessagesPage {
    t: Messages,
    page: Page,
    order_id: OrderId,
    is_away: bool,
    bubbles: Vec<Bubble>,
}

pub(super) async fn messages(visit: &Visit<'_>, order_id: OrderId) -> Response {
    let t = visit.t();
    let mut page = visit.page("mine");
    let path = format!("/notifications?orderId={order_id}&sort=createdAt&size=100");
    let asked = visit.client().about(order_id).get::<List<Notification>>(Context::Notification, &path).await;
    if let Err(Trouble::Problem(_)) = &asked {
        return page::not_found(visit);
    }
    let listed = page.expect(asked);
    let is_away = listed.is_none();
    let bubble = |message: Notification| Bubble {
        language: message.language,
        lines: message.body.lines().map(str::to_owned).collect(),
        when: format::moment(message.sent_at.unwrap_or(message.created_at), t.0),
        delivery: match message.status.as_str() {
            "Sent" => t.message_sent(),
            "Failed" => t.message_failed(),
            "Unwanted" => t.message_unwanted(),
            _ => t.message_pending(),
        },
    };
    // What was kept for long enough has no text any more.
    let messages = listed.map(List::items).unwrap_or_default().into_iter();
    let bubbles = messages.filter(|message| !message.body.is_empty()).map(bubble).collect();
    page::ok(&MessagesPage { t, page, order_id, is_away, bubbles })
}

#[derive(Template)]
#[template(path = "receipt.html")]
struct Receipt {
    t: Messages,
    page: Page,
    order_id: OrderId,
    rows: Vec<(&'static str, String)>,
    total: String,
    /// Who runs the site, as far as it is set.
    issuer: Vec<(&'static str, String)>,
    is_refunded: bool,
    printed_at: String,
}

pub(super) async fn receipt(visit: &Visit<'_>, order_id: OrderId) -> Response {
    let t = visit.t();
    let mut page = visit.page("mine");
    let known = match know(visit, &mut page, order_id).await {
        Ok(Some(known)) => known,
        Ok(None) => return page::not_found(visit),
        Err(trouble) => return page::trouble(visit, &trouble),
    };
    let path = format!("/pays/{order_id}");
    let asked = found(visit.client().about(order_id).get::<Pay>(Context::Pay, &path).await);
    if let Err(trouble @ Trouble::Away(_)) = &asked {
        return page::trouble(visit, trouble);
    }
    let paid =
        asked.ok().flatten().filter(|pay| matches!(pay.status, PayStatus::Paid | PayStatus::PaymentCanceled));
    let Some((pay, paid_at)) = paid.and_then(|pay| pay.paid_at.map(|at| (pay, at))) else {
        return nothing_paid(visit, order_id);
    };
    let mut rows = vec![
        (t.fact_order(), order_id.to_string()),
        (t.fact_course(), known.title().to_owned()),
        (t.fact_people(), t.people(known.guest())),
        (t.fact_paid_at(), format::moment(paid_at, t.0)),
    ];
    if let Some(last4) = &pay.card_last4 {
        rows.push((t.fact_card(), t.card_ending(last4)));
    }
    if let Some(at) = pay.refunded_at {
        rows.push((t.fact_refunded_at(), format::moment(at, t.0)));
    }
    let mut issuer = page.imprint.clone();
    issuer.retain(|(name, _)| *name != t.business_hosting());
    page::ok(&Receipt {
        t,
        page,
        issuer,
        order_id,
        rows,
        total: format::won(pay.amount, t.0),
        is_refunded: pay.refunded_at.is_some(),
        printed_at: format::moment(Timestamp::now(), t.0),
    })
}

fn nothing_paid(visit: &Visit<'_>, order_id: OrderId) -> Response {
    let t = visit.t();
    let back = format!("/my/{order_id}");
    let links = vec![(back.as_str(), t.back_to_order())];
    let (title, text) = (t.receipt_none_title(), t.receipt_none_text());
    let page = visit.page("mine");
    page::html(StatusCode::NOT_FOUND, &page::Plain { t, page, title, text, icon_name: "info", links })
}

pub(super) async fn calendar(visit: &Visit<'_>, order_id: OrderId) -> Response {
    let mut page = visit.page("mine");
    let known = match know(visit, &mut page, order_id).await {
        Ok(Some(known)) => known,
        Ok(None) => return page::not_found(visit),
        Err(trouble) => return page::trouble(visit, &trouble),
    };
    let Some(file) = calendar_file(&known, order_id, visit.t(), &visit.request.base, Timestamp::now()) else {
        return page::trouble(visit, &Trouble::Away(Context::Reservation));
    };
    Response::of(StatusCode::OK, "text/calendar; charset=utf-8", file)
        .header("content-disposition", &format!("attachment; filename=\"sugang-{order_id}.ics\""))
        .header("cache-control", "no-store")
}

/// An iCalendar file (RFC 5545) with the one event; none where the course's days are not known.
fn calendar_file(
    known: &Known,
    order_id: OrderId,
    t: Messages,
    base: &str,
    now: Timestamp,
) -> Option<String> {
    let course = known.course.as_ref()?;
    let status = match known.stage() {
        Stage::Confirmed | Stage::Attending | Stage::Attended => "CONFIRMED",
        Stage::Ended(..) => "CANCELLED",
        _ => "TENTATIVE",
    };
    let host = base.split_once("://").map_or("sugang", |(_, host)| host);
    let here = format!("{base}/my/{order_id}");
    let lines = [
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//Sugang//Sugang//KO".to_owned(),
        "METHOD:PUBLISH".to_owned(),
        "BEGIN:VEVENT".to_owned(),
        format!("UID:order-{order_id}@{host}"),
        format!("DTSTAMP:{}", format::calendar(now)),
        format!("DTSTART:{}", format::calendar(course.starts_at)),
        format!("DTEND:{}", format::calendar(course.ends_at)),
        format!("SUMMARY:{}", escaped(known.title())),
        format!("DESCRIPTION:{}", escaped(&t.calendar_text(&here))),
        format!("URL:{here}"),
        format!("STATUS:{status}"),
        "END:VEVENT".to_owned(),
        "END:VCALENDAR".to_owned(),
    ];
    Some(lines.iter().map(|line| folded(line) + "\r\n").collect())
}

/// Text as a property has it (RFC 5545 §3.3.11).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | ';' | ',' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            other if other.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

/// A line that is too long goes on in the next ones, each of which begins with a space.
fn folded(line: &str) -> String {
    let (mut folded, mut length) = (String::with_capacity(line.len() + 8), 0);
    for character in line.chars() {
        if length + character.len_utf8() > FOLD_AT {
            folded.push_str("\r\n ");
            length = 1;
        }
        folded.push(character);
        length += character.len_utf8();
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Language;
    use serde_json::json;

    #[test]
    fn a_title_cannot_add_lines_to_a_calendar() {
        let course = json!({ "eduNo": 7, "title": "a;b,c\\d\nEND:VEVENT", "capacity": 4, "taken": 3, "waiting": 0, "fee": 0,
            "approval": "manual", "startsAt": "2026-12-01T01:00:00Z", "endsAt": "2026-12-01T03:00:00Z", "status": "Open" });
        let known = Known { course: serde_json::from_value(course).unwrap(), ..Known::default() };
        let order = OrderId::parse(9).unwrap();
        let file = calendar_file(
            &known,
            order,
            Messages(Language::Ko),
            "http://h",
            "2026-11-22T00:00:00Z".parse().unwrap(),
        );
        let file = file.unwrap();
        assert!(file.contains("SUMMARY:a\\;b\\,c\\\\d\\nEND:VEVENT\r\n"), "{file}");
        assert!(file.contains("DTSTART:20261201T010000Z\r\nDTEND:20261201T030000Z\r\n"), "{file}");
        assert_eq!(file.matches("\r\nEND:VEVENT\r\n").count(), 1);
        assert!(file.split("\r\n").all(|line| line.len() <= 75), "{file}");
    }

    #[test]
    fn a_long_line_is_folded_between_letters() {
        let long = "가".repeat(60);
        let folded = folded(&long);
        assert!(folded.split("\r\n").all(|line| line.len() <= 75));
        assert_eq!(folded.replace("\r\n ", ""), long);
    }
}
