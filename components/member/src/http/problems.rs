//! What is answered where nothing was done.

use crate::domain::Refusal;
use crate::ports::{NotSent, NotSigned};
use crate::service::NotDone;
use crate::store::REGISTRATION_SECONDS;
use hal::{Error, Kind, Problem};
use kernel::Invalid;

pub(super) fn refuse(not_done: NotDone) -> Error {
    match not_done {
        NotDone::Refused(Refusal::Unknown) => Problem::not_found("There is no such member.").into(),
        NotDone::Refused(Refusal::PhoneTaken) => Problem::new(Kind::PHONE_TAKEN)
            .detail("The telephone number is another member's.")
            .next(Kind::PHONE_TAKEN.next)
            .into(),
        NotDone::Refused(Refusal::RegistrationEnded) => Problem::new(Kind::REGISTRATION_ENDED)
            .detail("The `registrationToken` was used, is too old, or is none.")
            .next(Kind::REGISTRATION_ENDED.next)
            .into(),
        // Others keep registering first.
        NotDone::Refused(refusal @ Refusal::NumberTaken) => Error::Unavailable(refusal.into()),
        NotDone::TooMany(seconds) => {
            let detail = "A code was asked for too often, for this number or from this address.";
            Problem::too_often(detail, seconds).into()
        }
        NotDone::CodeWrong => Problem::new(Kind::CODE_WRONG)
            .detail("The code is not the one that was sent for this `codeToken`, or no longer counts.")
            .next(Kind::CODE_WRONG.next)
            .into(),
        NotDone::RegistrationRequired(token) => Problem::new(Kind::REGISTRATION_REQUIRED)
            .detail("What was shown is right, and nobody is registered with it.")
            .next(Kind::REGISTRATION_REQUIRED.next)
            .with("registrationToken", token.as_str())
            .with("expiresIn", REGISTRATION_SECONDS)
            .header("cache-control", "no-store")
            .into(),
        NotDone::IdToken(invalid) => Problem::new(Kind::ID_TOKEN_INVALID)
            .detail(invalid.to_string())
            .next(Kind::ID_TOKEN_INVALID.next)
            .into(),
        NotDone::ProviderAway(unavailable) => {
            eprintln!("member: asking the OpenID provider for its keys: {unavailable}");
            Problem::new(Kind::PROVIDER_UNAVAILABLE)
                .detail("The OpenID provider did not tell its keys, so its ID tokens cannot be verified now.")
                .next(Kind::PROVIDER_UNAVAILABLE.next)
                .header("retry-after", "5")
                .into()
        }
        NotDone::SessionEnded => Problem::new(Kind::SESSION_ENDED)
            .detail("The refresh token does not count.")
            .next(Kind::SESSION_ENDED.next)
            .into(),
        NotDone::NotSent(NotSent::Never(reason)) => {
            eprintln!("member: a message was refused: {reason}");
            Invalid::new("phone", "is a number that no message can be sent to").into()
        }
        NotDone::NotSent(passing) => passing.into(),
        NotDone::NotSigned(NotSigned::NotSetUp) => Problem::new(Kind::NOT_SET_UP)
            .detail("The variable `token_signing_key` is not set, so nobody can sign in.")
            .next(Kind::NOT_SET_UP.next)
            .into(),
        NotDone::NotSigned(failed) => failed.into(),
        NotDone::Random(unavailable) => unavailable.into(),
        NotDone::Store(error) => error.into(),
    }
}
