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
    /// All of them, by slug.
    pub const ALL: &[Self] = &[
        Self::BODY_TOO_LARGE,
        Self::CAPACITY_BELOW_TAKEN,
        Self::CODE_WRONG,
        Self::COURSE_CONTENT_DIFFERS,
        Self::COURSE_NOT_OPEN,
        Self::GATEWAY_UNAVAILABLE,
        Self::IDEMPOTENCY_KEY_MALFORMED,
        Self::IDEMPOTENCY_KEY_NOT_TAKEN,
        Self::IDEMPOTENCY_KEY_REUSED,
        Self::ID_TOKEN_INVALID,
        Self::INTERNAL,
        Self::INVALID_FIELDS,
        Self::MALFORMED_JSON,
        Self::MALFORMED_PATH,
        Self::METHOD_NOT_ALLOWED,
        Self::NOT_ALLOWED,
        Self::NOT_FOUND,
        Self::NOT_SET_UP,
        Self::ORDER_CONTENT_DIFFERS,
        Self::PAYMENT_CLOSED,
        Self::PAYMENT_CONTENT_DIFFERS,
        Self::PHONE_TAKEN,
        Self::PRECONDITION_FAILED,
        Self::PROVIDER_UNAVAILABLE,
        Self::REGISTRATION_ENDED,
        Self::REGISTRATION_REQUIRED,
        Self::SESSION_ENDED,
        Self::SIGN_IN_REQUIRED,
        Self::STORE_UNAVAILABLE,
        Self::TOKEN_INVALID,
        Self::TOO_MANY_REQUESTS,
        Self::TRANSITION_NOT_ALLOWED,
        Self::UNKNOWN_COURSE,
        Self::UNREADABLE_BODY,
        Self::UNSUPPORTED_MEDIA_TYPE,
    ];

    /// The body is too large.
    pub const BODY_TOO_LARGE: Self = Self {
        slug: "body-too-large",
        status: StatusCode::PAYLOAD_TOO_LARGE,
        title: "The body is too large",
        meaning: "The request's body is longer than 65,536 bytes, many times what any request of this API needs. \
                  Nothing was read from it and nothing was stored.",
        next: "Send only the fields that the API names.",
    };

    /// More seats are taken than the course would then have.
    pub const CAPACITY_BELOW_TAKEN: Self = Self {
        slug: "capacity-below-taken",
        status: StatusCode::CONFLICT,
        title: "More seats are taken than the course would then have",
        meaning: "A course cannot be made smaller than the number of seats that requested and confirmed \
                  reservations hold. `taken` says how many those are.",
        next: "Choose at least as many seats as are taken, or reject reservations first.",
    };

    /// The code is not right.
    pub const CODE_WRONG: Self = Self {
        slug: "code-wrong",
        status: StatusCode::UNAUTHORIZED,
        title: "The code is not right",
        meaning: "It is another than the newest one that was sent to this number, was used, is older than five minutes, or was \
                  tried too often. Which of them is not said.",
        next: "Look at the newest message, or ask for another code with `POST /sign-in-codes`.",
    };

    /// The number is taken by another course.
    pub const COURSE_CONTENT_DIFFERS: Self = Self {
        slug: "course-content-differs",
        status: StatusCode::CONFLICT,
        title: "The number is taken by another course",
        meaning: "A course with this `eduNo` exists, and its content is not the one sent. The same content again \
                  would have been the same course. `present` is the course that exists.",
        next: "Choose another `eduNo`, leave it out to have one chosen, or PATCH the course.",
    };

    /// The course is not open.
    pub const COURSE_NOT_OPEN: Self = Self {
        slug: "course-not-open",
        status: StatusCode::CONFLICT,
        title: "The course is not open",
        meaning: "Only a course that is `Open` takes applications and can be changed. `presentStatus` says where it \
                  stands. Nothing was stored.",
        next: "Choose another of `GET /courses?status=Open`; as its manager, follow the links of the course.",
    };

    /// The card company does not answer.
    pub const GATEWAY_UNAVAILABLE: Self = Self {
        slug: "gateway-unavailable",
        status: StatusCode::BAD_GATEWAY,
        title: "The card company does not answer",
        meaning: "Whether the card was charged is not known yet. Asking again finds out, and never charges a second \
                  time.",
        next: "Send the same request again after the seconds in `Retry-After`.",
    };

    /// The Idempotency-Key cannot be read.
    pub const IDEMPOTENCY_KEY_MALFORMED: Self = Self {
        slug: "idempotency-key-malformed",
        status: StatusCode::BAD_REQUEST,
        title: "The Idempotency-Key cannot be read",
        meaning: "The header `Idempotency-Key` must be there once, as 1 to 255 visible ASCII characters, with or \
                  without quotes. Nothing was stored.",
        next: "Send one key, a UUID for example, and the same one when you repeat the request.",
    };

    /// No Idempotency-Key is taken here.
    pub const IDEMPOTENCY_KEY_NOT_TAKEN: Self = Self {
        slug: "idempotency-key-not-taken",
        status: StatusCode::BAD_REQUEST,
        title: "No Idempotency-Key is taken here",
        meaning: "A payment is known by its `orderId`, so an order is never charged twice; a key of the client's own \
                  would promise something else. Nothing was stored.",
        next: "Send the request without the header, as often as you like.",
    };

    /// This Idempotency-Key was used for another request.
    pub const IDEMPOTENCY_KEY_REUSED: Self = Self {
        slug: "idempotency-key-reused",
        status: StatusCode::UNPROCESSABLE_ENTITY,
        title: "This Idempotency-Key was used for another request",
        meaning: "The same key came within the last 24 hours with other content, so it cannot say which of the two \
                  is meant. Nothing was stored.",
        next: "Send a new key with a new request.",
    };

    /// The ID token does not count.
    pub const ID_TOKEN_INVALID: Self = Self {
        slug: "id-token-invalid",
        status: StatusCode::UNAUTHORIZED,
        title: "The ID token does not count",
        meaning: "It is not one that the OpenID provider has signed for this application and for this sign-in, its time is \
                  over, or it was used before: each counts once. `detail` says which. Nothing was stored.",
        next: "Have the provider sign the person in again, with a new `nonce`, and send the ID token that comes of it.",
    };

    /// Something failed on our side.
    pub const INTERNAL: Self = Self {
        slug: "internal",
        status: StatusCode::INTERNAL_SERVER_ERROR,
        title: "Something failed on our side",
        meaning: "A defect, or something that the application needs is broken. The cause is in the operator's log \
                  and is never shown.",
        next: "Try again. If you asked for a change, look first whether it was made. If it keeps failing, tell the \
               operator when it happened.",
    };

    /// Some fields cannot be taken as they are.
    pub const INVALID_FIELDS: Self = Self {
        slug: "invalid-fields",
        status: StatusCode::UNPROCESSABLE_ENTITY,
        title: "Some fields cannot be taken as they are",
        meaning: "The request could be read, and some of its fields or query parameters are missing, empty, given \
                  twice, of another type, or out of range. `errors` names each of them. Nothing was stored.",
        next: "Correct the fields named in `errors` and send the request again.",
    };

    /// The body is not a JSON object.
    pub const MALFORMED_JSON: Self = Self {
        slug: "malformed-json",
        status: StatusCode::BAD_REQUEST,
        title: "The body is not a JSON object that can be read",
        meaning: "The body is empty, is not JSON, is JSON of another kind than an object, or holds what cannot be \
                  taken: half of a surrogate pair, a number far out of range, or more than a hundred levels. \
                  Nothing was stored.",
        next: "Send a JSON object.",
    };

    /// The path cannot be read.
    pub const MALFORMED_PATH: Self = Self {
        slug: "malformed-path",
        status: StatusCode::BAD_REQUEST,
        title: "The path cannot be read",
        meaning: "Once it is percent-decoded, the path is not UTF-8.",
        next: "Percent-encode the path's UTF-8 bytes.",
    };

    /// This path does not take that method.
    pub const METHOD_NOT_ALLOWED: Self = Self {
        slug: "method-not-allowed",
        status: StatusCode::METHOD_NOT_ALLOWED,
        title: "This path does not take that method",
        meaning: "The path exists and takes other methods; the header `Allow` names them.",
        next: "Use one of the methods in `Allow`.",
    };

    /// You may not do this.
    pub const NOT_ALLOWED: Self = Self {
        slug: "not-allowed",
        status: StatusCode::FORBIDDEN,
        title: "You may not do this",
        meaning: "Whoever asks is known, and their role does not allow this. What each role may do is a table in \
                  `docs/security.md`. Nothing was stored.",
        next: "Sign in as somebody who may, or ask the operator for the role.",
    };

    /// There is nothing here.
    pub const NOT_FOUND: Self = Self {
        slug: "not-found",
        status: StatusCode::NOT_FOUND,
        title: "There is nothing here",
        meaning: "There is no such path, or nothing with that number. What follows from an order (its payment, its \
                  reservation, its messages) appears a moment after it, and only then.",
        next: "Check the number and the path; `/` lists what there is.",
    };

    /// This is not set up yet.
    pub const NOT_SET_UP: Self = Self {
        slug: "not-set-up",
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "This is not set up yet",
        meaning: "A variable that this needs, a key most likely, was not set when the application was started. `detail` \
                  names it.",
        next: "As the operator, set the variable and start again; `sugang keys` makes keys.",
    };

    /// That number belongs to another order.
    pub const ORDER_CONTENT_DIFFERS: Self = Self {
        slug: "order-content-differs",
        status: StatusCode::CONFLICT,
        title: "That number belongs to another order",
        meaning: "An order with this `orderId` exists, for another customer, course, number of people or card. The \
                  same content again would have been the same order. Nothing was stored.",
        next: "Choose another `orderId`, or leave it out; to pay with another card, `POST /orders/{orderId}/payment`.",
    };

    /// Nothing can be paid for this order any more.
    pub const PAYMENT_CLOSED: Self = Self {
        slug: "payment-closed",
        status: StatusCode::CONFLICT,
        title: "Nothing can be paid for this order any more",
        meaning: "The order was canceled or its reservation rejected, and what had been paid was given back. A \
                  payment that arrives later is refused.",
        next: "Apply again, under a new order number.",
    };

    /// This order's payment has other content.
    pub const PAYMENT_CONTENT_DIFFERS: Self = Self {
        slug: "payment-content-differs",
        status: StatusCode::CONFLICT,
        title: "This order's payment has other content",
        meaning: "The order has a payment for another course or another amount. Nothing was charged.",
        next: "Read `/pays/{orderId}`, and send its `eduNo` and `amount`.",
    };

    /// The telephone number is another member's.
    pub const PHONE_TAKEN: Self = Self {
        slug: "phone-taken",
        status: StatusCode::CONFLICT,
        title: "The telephone number is another member's",
        meaning: "A telephone number is one member's at a time. Nothing was stored.",
        next: "Sign in with that number, or use another.",
    };

    /// It has changed meanwhile.
    pub const PRECONDITION_FAILED: Self = Self {
        slug: "precondition-failed",
        status: StatusCode::PRECONDITION_FAILED,
        title: "It has changed meanwhile",
        meaning: "`If-Match` names another state than the present one, so somebody changed it after you read it; or \
                  `If-None-Match` forbids the present one; or one of them cannot be read. Nothing was changed now.",
        next: "Read it again, decide again, and send the new ETag in `If-Match`.",
    };

    /// The OpenID provider does not answer.
    pub const PROVIDER_UNAVAILABLE: Self = Self {
        slug: "provider-unavailable",
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "The OpenID provider does not answer",
        meaning: "Its keys are needed to verify an ID token, and could not be fetched. The token was not used up.",
        next: "Try again after the seconds in `Retry-After`, or sign in with a code where codes are taken.",
    };

    /// The registration cannot go on.
    pub const REGISTRATION_ENDED: Self = Self {
        slug: "registration-ended",
        status: StatusCode::UNAUTHORIZED,
        title: "The registration cannot go on",
        meaning: "The `registrationToken` was used, or is older than fifteen minutes. Nothing was stored.",
        next: "Ask for a code with `POST /sign-in-codes`, and send it with `POST /sessions`.",
    };

    /// Nobody is registered with this.
    pub const REGISTRATION_REQUIRED: Self = Self {
        slug: "registration-required",
        status: StatusCode::FORBIDDEN,
        title: "Nobody is registered with this",
        meaning: "The code or the ID token is right, and is nobody's yet. `registrationToken` stands for it, once and for the \
                  seconds in `expiresIn`.",
        next: "Send `POST /members` with the `registrationToken`, a name and the consents.",
    };

    /// The session has ended.
    pub const SESSION_ENDED: Self = Self {
        slug: "session-ended",
        status: StatusCode::UNAUTHORIZED,
        title: "The session has ended",
        meaning: "It was signed out, was not used for too long, or its refresh token came a second time, which means that \
                  somebody else has it.",
        next: "Sign in again.",
    };

    /// Sign in first.
    pub const SIGN_IN_REQUIRED: Self = Self {
        slug: "sign-in-required",
        status: StatusCode::UNAUTHORIZED,
        title: "Sign in first",
        meaning: "This is for those who are known: by an access token (`Authorization: Bearer …`), or, for one order, by \
                  the key that came with it (`Order-Key: …`). The answer is the same whether what was asked for is \
                  there or not.",
        next: "Ask for a code with `POST /sign-in-codes`, sign in with `POST /sessions`, and send the access token.",
    };

    /// The store is busy or not reachable.
    pub const STORE_UNAVAILABLE: Self = Self {
        slug: "store-unavailable",
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "The store is busy or not reachable",
        meaning: "The store of this part of the application could not be used, or others kept deciding about the \
                  same thing first.",
        next: "Try again after the seconds in `Retry-After`. If you asked for a change, look first whether it was \
               made.",
    };

    /// The credentials cannot be taken.
    pub const TOKEN_INVALID: Self = Self {
        slug: "token-invalid",
        status: StatusCode::UNAUTHORIZED,
        title: "The credentials cannot be taken",
        meaning: "The access token or the key is not one of ours, has expired, or belongs to a session that has ended. \
                  Nothing was stored.",
        next: "Get a new access token with `POST /sessions/refresh`, or sign in again.",
    };

    /// That was too often.
    pub const TOO_MANY_REQUESTS: Self = Self {
        slug: "too-many-requests",
        status: StatusCode::TOO_MANY_REQUESTS,
        title: "That was too often",
        meaning: "There is a limit on how often this may be asked, for the member or the address that asks. Nothing was \
                  stored.",
        next: "Try again after the seconds in `Retry-After`.",
    };

    /// Its present state does not allow this.
    pub const TRANSITION_NOT_ALLOWED: Self = Self {
        slug: "transition-not-allowed",
        status: StatusCode::CONFLICT,
        title: "Its present state does not allow this",
        meaning: "The status asked for does not follow from the present one, which `presentStatus` names. The links \
                  of the resource say what can be done now.",
        next: "Read the resource and follow one of its links.",
    };

    /// There is no such course.
    pub const UNKNOWN_COURSE: Self = Self {
        slug: "unknown-course",
        status: StatusCode::UNPROCESSABLE_ENTITY,
        title: "There is no such course",
        meaning: "No course with this `eduNo` is known here. One that was opened just now is known a moment later. \
                  Nothing was stored.",
        next: "Choose one of `GET /courses`, or try again in a second if it was opened just now.",
    };

    /// The body did not arrive whole.
    pub const UNREADABLE_BODY: Self = Self {
        slug: "unreadable-body",
        status: StatusCode::BAD_REQUEST,
        title: "The body did not arrive whole",
        meaning: "The connection broke off, or the body is not framed as HTTP demands. Nothing was stored.",
        next: "Send the request again.",
    };

    /// The body is not in a format that is read here.
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self {
        slug: "unsupported-media-type",
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        title: "The body is not in a format that is read here",
        meaning: "`Content-Type` names something else than JSON with a plain object, or `Content-Encoding` a coding. \
                  Nothing was stored.",
        next: "Send the body as it is, as JSON with `Content-Type: application/json`.",
    };

    /// The kind with that slug.
    pub fn find(slug: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|kind| kind.slug == slug)
    }
}
