//! Every kind of problem that the application answers with, explained.
//!
//! A problem's `type` is a path under `/problems/`, so whoever is answered with one can open it. The tests hold this
//! list against the components' source: no kind is missing, no kind is listed that nobody uses, and title and status
//! are the source's own.

/// One kind of problem.
#[derive(Debug, PartialEq)]
pub(crate) struct Kind {
    /// The last part of its `type`; never changes once published.
    pub(crate) slug: &'static str,
    /// The HTTP status it comes with.
    pub(crate) status: u16,
    /// Its `title`, the same every time.
    pub(crate) title: &'static str,
    /// What it means.
    pub(crate) meaning: &'static str,
    /// What to do.
    pub(crate) next: &'static str,
}

/// The kind with that slug.
pub(crate) fn find(slug: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.slug == slug)
}

/// All of them, by slug.
pub(crate) const KINDS: &[Kind] = &[
    Kind {
        slug: "body-too-large",
        status: 413,
        title: "The body is too large",
        meaning: "The request's body is longer than 65,536 bytes, many times what any request of this API needs. \
                  Nothing was read from it and nothing was stored.",
        next: "Send only the fields that the API names.",
    },
    Kind {
        slug: "capacity-below-taken",
        status: 409,
        title: "More seats are taken than the course would then have",
        meaning: "A course cannot be made smaller than the number of seats that requested and confirmed \
                  reservations hold. `taken` says how many those are.",
        next: "Choose at least as many seats as are taken, or reject reservations first.",
    },
    Kind {
        slug: "course-content-differs",
        status: 409,
        title: "The number is taken by another course",
        meaning: "A course with this `eduNo` exists, and its content is not the one sent. The same content again \
                  would have been the same course. `present` is the course that exists.",
        next: "Choose another `eduNo`, leave it out to have one chosen, or PATCH the course.",
    },
    Kind {
        slug: "course-not-open",
        status: 409,
        title: "The course is not open",
        meaning: "Only a course that is `Open` takes applications and can be changed. `presentStatus` says where it \
                  stands. Nothing was stored.",
        next: "Choose another of `GET /courses?status=Open`; as its manager, follow the links of the course.",
    },
    Kind {
        slug: "gateway-unavailable",
        status: 502,
        title: "The card company does not answer",
        meaning: "Whether the card was charged is not known yet. Asking again finds out, and never charges a second \
                  time.",
        next: "Send the same request again after the seconds in `Retry-After`.",
    },
    Kind {
        slug: "idempotency-key-malformed",
        status: 400,
        title: "The Idempotency-Key cannot be read",
        meaning: "The header `Idempotency-Key` must be there once, as 1 to 255 visible ASCII characters, with or \
                  without quotes. Nothing was stored.",
        next: "Send one key, a UUID for example, and the same one when you repeat the request.",
    },
    Kind {
        slug: "idempotency-key-not-taken",
        status: 400,
        title: "No Idempotency-Key is taken here",
        meaning: "A payment is known by its `orderId`, so an order is never charged twice; a key of the client's own \
                  would promise something else. Nothing was stored.",
        next: "Send the request without the header, as often as you like.",
    },
    Kind {
        slug: "idempotency-key-reused",
        status: 422,
        title: "This Idempotency-Key was used for another request",
        meaning: "The same key came within the last 24 hours with other content, so it cannot say which of the two \
                  is meant. Nothing was stored.",
        next: "Send a new key with a new request.",
    },
    Kind {
        slug: "internal",
        status: 500,
        title: "Something failed on our side",
        meaning: "A defect, or something that the application needs is broken. The cause is in the operator's log \
                  and is never shown.",
        next: "Try again. If you asked for a change, look first whether it was made. If it keeps failing, tell the \
               operator when it happened.",
    },
    Kind {
        slug: "invalid-fields",
        status: 422,
        title: "Some fields cannot be taken as they are",
        meaning: "The request could be read, and some of its fields or query parameters are missing, empty, given \
                  twice, of another type, or out of range. `errors` names each of them. Nothing was stored.",
        next: "Correct the fields named in `errors` and send the request again.",
    },
    Kind {
        slug: "malformed-json",
        status: 400,
        title: "The body is not a JSON object",
        meaning: "The body is empty, is not JSON, or is JSON of another kind than an object. Nothing was stored.",
        next: "Send a JSON object.",
    },
    Kind {
        slug: "malformed-path",
        status: 400,
        title: "The path cannot be read",
        meaning: "Once it is percent-decoded, the path is not UTF-8.",
        next: "Percent-encode the path's UTF-8 bytes.",
    },
    Kind {
        slug: "method-not-allowed",
        status: 405,
        title: "This path does not take that method",
        meaning: "The path exists and takes other methods; the header `Allow` names them.",
        next: "Use one of the methods in `Allow`.",
    },
    Kind {
        slug: "not-found",
        status: 404,
        title: "There is nothing here",
        meaning: "There is no such path, or nothing with that number. What follows from an order (its payment, its \
                  reservation, its messages) appears a moment after it, and only then.",
        next: "Check the number and the path; `/` lists what there is.",
    },
    Kind {
        slug: "order-content-differs",
        status: 409,
        title: "That number belongs to another order",
        meaning: "An order with this `orderId` exists, for another customer, course, number of people or card. The \
                  same content again would have been the same order. Nothing was stored.",
        next: "Choose another `orderId`, or leave it out; to pay with another card, `POST /orders/{orderId}/payment`.",
    },
    Kind {
        slug: "payment-closed",
        status: 409,
        title: "Nothing can be paid for this order any more",
        meaning: "The order was canceled or its reservation rejected, and what had been paid was given back. A \
                  payment that arrives later is refused.",
        next: "Apply again, under a new order number.",
    },
    Kind {
        slug: "payment-content-differs",
        status: 409,
        title: "This order's payment has other content",
        meaning: "The order has a payment for another course or another amount. Nothing was charged.",
        next: "Read `/pays/{orderId}`, and send its `eduNo` and `amount`.",
    },
    Kind {
        slug: "precondition-failed",
        status: 412,
        title: "It has changed meanwhile",
        meaning: "`If-Match` names another state than the present one, so somebody changed it after you read it; or \
                  `If-None-Match` forbids the present one; or one of them cannot be read. Nothing was changed now.",
        next: "Read it again, decide again, and send the new ETag in `If-Match`.",
    },
    Kind {
        slug: "store-unavailable",
        status: 503,
        title: "The store is busy or not reachable",
        meaning: "The store of this part of the application could not be used, or others kept deciding about the \
                  same thing first.",
        next: "Try again after the seconds in `Retry-After`. If you asked for a change, look first whether it was \
               made.",
    },
    Kind {
        slug: "transition-not-allowed",
        status: 409,
        title: "Its present state does not allow this",
        meaning: "The status asked for does not follow from the present one, which `presentStatus` names. The links \
                  of the resource say what can be done now.",
        next: "Read the resource and follow one of its links.",
    },
    Kind {
        slug: "unknown-course",
        status: 422,
        title: "There is no such course",
        meaning: "No course with this `eduNo` is known here. One that was opened just now is known a moment later. \
                  Nothing was stored.",
        next: "Choose one of `GET /courses`, or try again in a second if it was opened just now.",
    },
    Kind {
        slug: "unreadable-body",
        status: 400,
        title: "The body did not arrive whole",
        meaning: "The connection broke off, or the body is not framed as HTTP demands. Nothing was stored.",
        next: "Send the request again.",
    },
    Kind {
        slug: "unsupported-media-type",
        status: 415,
        title: "The body is not in a format that is read here",
        meaning: "`Content-Type` names something else than JSON, or `Content-Encoding` a coding. Nothing was stored.",
        next: "Send the body as it is, as JSON with `Content-Type: application/json`.",
    },
];
