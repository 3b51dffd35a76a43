//! Every kind of problem that the API answers with, in one list: what a problem document says, and what `/problems`
//! explains, are read from here.

use crate::StatusCode;

/// One kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The last part of its `type`; never changes once published.
    pub slug: &'static str,
    /// The HTTP status that it comes with.
    pub status: StatusCode,
    /// Its `title`, the same every time.
    pub title: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do, where nothing can be said for the one case.
    pub next: &'static str,
}

impl Kind {
    /// The kind with that slug.
    pub fn find(slug: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|kind| kind.slug == slug)
    }
}

/// Each kind as `NAME = slug, status, title; meaning; next;`, by slug.
macro_rules! kinds {
    ($($name:ident = $slug:literal, $status:ident, $title:literal; $meaning:literal; $next:literal;)+) => {
        impl Kind {
            /// All of them, by slug.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            $(
                #[doc = concat!($title, ".")]
                pub const $name: Self = Self {
                    slug: $slug,
                    status: StatusCode::$status,
                    title: $title,
                    meaning: $meaning,
                    next: $next,
                };
            )+
        }
    };
}

kinds! {
    BODY_TOO_LARGE = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
        "The request's body is longer than 65,536 bytes, many times what any request of this API needs. Nothing was \
         read from it and nothing was stored.";
        "Send only the fields that the API names.";

    CAPACITY_BELOW_TAKEN = "capacity-below-taken", CONFLICT, "More seats are taken than the course would then have";
        "A course cannot be made smaller than the number of seats that requested and confirmed reservations hold. \
         `taken` says how many those are.";
        "Choose at least as many seats as are taken, or reject reservations first.";

    CODE_WRONG = "code-wrong", UNAUTHORIZED, "The code is not right";
        "It is another than the newest one that was sent to this number, was used, is older than five minutes, or \
         was tried too often. Which of them is not said.";
        "Look at the newest message, or ask for another code with `POST /sign-in-codes`.";

    COURSE_CONTENT_DIFFERS = "course-content-differs", CONFLICT, "The number is taken by another course";
        "A course with this `eduNo` exists, and its content is not the one sent. The same content again would have \
         been the same course. `present` is the course that exists.";
        "Choose another `eduNo`, leave it out to have one chosen, or PATCH the course.";

    COURSE_NOT_OPEN = "course-not-open", CONFLICT, "The course is not open";
        "Only a course that is `Open` takes applications and can be changed. `presentStatus` says where it stands. \
         Nothing was stored.";
        "Choose another of `GET /courses?status=Open`; as its manager, follow the links of the course.";

    EVENT_LOG_UNAVAILABLE = "event-log-unavailable", SERVICE_UNAVAILABLE, "The event log's Redis does not answer";
        "What contexts tell one another waits in their stores until it does. Orders are taken and paid meanwhile; seats, \
         messages and the view follow later.";
        "Look whether Redis runs and has memory and disk left. Nothing has to be sent again by hand.";

    GATEWAY_UNAVAILABLE = "gateway-unavailable", BAD_GATEWAY, "The card company does not answer";
        "Whether the card was charged is not known yet. Asking again finds out, and never charges a second time.";
        "Send the same request again after the seconds in `Retry-After`.";

    ID_TOKEN_INVALID = "id-token-invalid", UNAUTHORIZED, "The ID token does not count";
        "It is not one that the OpenID provider has signed for this application and for this sign-in, its time is over, \
         or it was used before: each counts once. `detail` says which. Nothing was stored.";
        "Have the provider sign the person in again, with a new `nonce`, and send the ID token that comes of it.";

    IDEMPOTENCY_KEY_MALFORMED = "idempotency-key-malformed", BAD_REQUEST, "The Idempotency-Key cannot be read";
        "The header `Idempotency-Key` must be there once, as 1 to 255 visible ASCII characters, with or without \
         quotes. Nothing was stored.";
        "Send one key, a UUID for example, and the same one when you repeat the request.";

    IDEMPOTENCY_KEY_NOT_TAKEN = "idempotency-key-not-taken", BAD_REQUEST, "No Idempotency-Key is taken here";
        "A payment is known by its `orderId`, so an order is never charged twice; a key of the client's own would \
         promise something else. Nothing was stored.";
        "Send the request without the header, as often as you like.";

    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "This Idempotency-Key was used for another request";
        "The same key came within the last 24 hours with other content, so it cannot say which of the two is meant. \
         Nothing was stored.";
        "Send a new key with a new request.";

    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "Something failed on our side";
        "A defect, or something that the application needs is broken. The cause is in the operator's log and is \
         never shown.";
        "Try again. If you asked for a change, look first whether it was made. If it keeps failing, tell the \
         operator when it happened.";

    INVALID_FIELDS = "invalid-fields", UNPROCESSABLE_ENTITY, "Some fields cannot be taken as they are";
        "The request could be read, and some of its fields or query parameters are missing, empty, given twice, of \
         another type, or out of range. `errors` names each of them. Nothing was stored.";
        "Correct the fields named in `errors` and send the request again.";

    MALFORMED_JSON = "malformed-json", BAD_REQUEST, "The body is not a JSON object that can be read";
        "The body is empty, is not JSON, is JSON of another kind than an object, or holds what cannot be taken: half \
         of a surrogate pair, a number far out of range, or more than a hundred levels. Nothing was stored.";
        "Send a JSON object.";

    MALFORMED_PATH = "malformed-path", BAD_REQUEST, "The path cannot be read";
        "Once it is percent-decoded, the path is not UTF-8.";
        "Percent-encode the path's UTF-8 bytes.";

    METHOD_NOT_ALLOWED = "method-not-allowed", METHOD_NOT_ALLOWED, "This path does not take that method";
        "The path exists and takes other methods; the header `Allow` names them.";
        "Use one of the methods in `Allow`.";

    NOT_ALLOWED = "not-allowed", FORBIDDEN, "You may not do this";
        "Whoever asks is known, and their role does not allow this. What each role may do is a table in \
         `docs/security.md`. Nothing was stored.";
        "Sign in as somebody who may, or ask the operator for the role.";

    NOT_FOUND = "not-found", NOT_FOUND, "There is nothing here";
        "There is no such path, or nothing with that number. What follows from an order (its payment, its \
         reservation, its messages) appears a moment after it, and only then.";
        "Check the number and the path; `/` lists what there is.";

    NOT_SET_UP = "not-set-up", SERVICE_UNAVAILABLE, "This is not set up yet";
        "A variable that this needs, a key most likely, was not set when the application was started. `detail` names \
         it.";
        "As the operator, set the variable and start again; `sugang keys` makes keys.";

    ORDER_CONTENT_DIFFERS = "order-content-differs", CONFLICT, "That number belongs to another order";
        "An order with this `orderId` exists, for another customer, course, number of people or card. The same \
         content again would have been the same order. Nothing was stored.";
        "Choose another `orderId`, or leave it out; to pay with another card, `POST /orders/{orderId}/payment`.";

    PAYMENT_CLOSED = "payment-closed", CONFLICT, "Nothing can be paid for this order any more";
        "The order was canceled or its reservation rejected, and what had been paid was given back. A payment that \
         arrives later is refused.";
        "Apply again, under a new order number.";

    PAYMENT_CONTENT_DIFFERS = "payment-content-differs", CONFLICT, "This order's payment has other content";
        "The order has a payment for another course or another amount. Nothing was charged.";
        "Read `/pays/{orderId}`, and send its `eduNo` and `amount`.";

    PHONE_TAKEN = "phone-taken", CONFLICT, "The telephone number is another member's";
        "A telephone number is one member's at a time. Nothing was stored.";
        "Sign in with that number, or use another.";

    PRECONDITION_FAILED = "precondition-failed", PRECONDITION_FAILED, "It has changed meanwhile";
        "`If-Match` names another state than the present one, so somebody changed it after you read it; or \
         `If-None-Match` forbids the present one; or one of them cannot be read. Nothing was changed now.";
        "Read it again, decide again, and send the new ETag in `If-Match`.";

    PROVIDER_UNAVAILABLE = "provider-unavailable", SERVICE_UNAVAILABLE, "The OpenID provider does not answer";
        "Its keys are needed to verify an ID token, and could not be fetched. The token was not used up.";
        "Try again after the seconds in `Retry-After`, or sign in with a code where codes are taken.";

    REGISTRATION_ENDED = "registration-ended", UNAUTHORIZED, "The registration cannot go on";
        "The `registrationToken` was used, or is older than fifteen minutes. Nothing was stored.";
        "Ask for a code with `POST /sign-in-codes`, and send it with `POST /sessions`.";

    REGISTRATION_REQUIRED = "registration-required", FORBIDDEN, "Nobody is registered with this";
        "The code or the ID token is right, and is nobody's yet. `registrationToken` stands for it, once and for the \
         seconds in `expiresIn`.";
        "Send `POST /members` with the `registrationToken`, a name and the consents.";

    SESSION_ENDED = "session-ended", UNAUTHORIZED, "The session has ended";
        "It was signed out, was not used for too long, or its refresh token came a second time, which means that \
         somebody else has it.";
        "Sign in again.";

    SIGN_IN_REQUIRED = "sign-in-required", UNAUTHORIZED, "Sign in first";
        "This is for those who are known: by an access token (`Authorization: Bearer …`), or, for one order, by the \
         key that came with it (`Order-Key: …`). The answer is the same whether what was asked for is there or not.";
        "Ask for a code with `POST /sign-in-codes`, sign in with `POST /sessions`, and send the access token.";

    STORE_UNAVAILABLE = "store-unavailable", SERVICE_UNAVAILABLE, "The store is busy or not reachable";
        "The store of this part of the application could not be used, or others kept deciding about the same thing \
         first.";
        "Try again after the seconds in `Retry-After`. If you asked for a change, look first whether it was made.";

    TOKEN_INVALID = "token-invalid", UNAUTHORIZED, "The credentials cannot be taken";
        "The access token or the key is not one of ours, has expired, or belongs to a session that has ended. \
         Nothing was stored.";
        "Get a new access token with `POST /sessions/refresh`, or sign in again.";

    TOO_MANY_REQUESTS = "too-many-requests", TOO_MANY_REQUESTS, "That was too often";
        "There is a limit on how often this may be asked, for the member or the address that asks. Nothing was \
         stored.";
        "Try again after the seconds in `Retry-After`.";

    TRANSITION_NOT_ALLOWED = "transition-not-allowed", CONFLICT, "Its present state does not allow this";
        "The status asked for does not follow from the present one, which `presentStatus` names. The links of the \
         resource say what can be done now.";
        "Read the resource and follow one of its links.";

    UNKNOWN_COURSE = "unknown-course", UNPROCESSABLE_ENTITY, "There is no such course";
        "No course with this `eduNo` is known here. One that was opened just now is known a moment later. Nothing \
         was stored.";
        "Choose one of `GET /courses`, or try again in a second if it was opened just now.";

    UNREADABLE_BODY = "unreadable-body", BAD_REQUEST, "The body did not arrive whole";
        "The connection broke off, or the body is not framed as HTTP demands. Nothing was stored.";
        "Send the request again.";

    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body is not in a format that is read here";
        "`Content-Type` names something else than JSON with a plain object, or `Content-Encoding` a coding. Nothing \
         was stored.";
        "Send the body as it is, as JSON with `Content-Type: application/json`.";
}
