# The catalogue, a course, and the form to apply.
catalogue-title = Courses
catalogue-lead = Choose a course and apply. You do not have to be a member.
search = Search
search-label = Course title
search-placeholder = Try “Rust”
filter-status = Status
filter-from = From date
every-status = Any status
courses-found = { $count ->
    [one] 1 course
   *[other] { $count } courses
 }
catalogue-empty-title = No courses found
catalogue-empty-text = Try other words, or have a look at all courses.
catalogue-show-all = Show all courses
course-open = Open
course-full = Waiting list
course-started = Under way
course-finished = Finished
course-canceled = Canceled
course-facts = About this course
approval-manual-short = Confirmed by the manager
approval-automatic-short = First come, first served
approval-manual = The manager looks at each application and confirms it
approval-automatic = Confirmed at once when paid, first come, first served
seats-left = { $left ->
    [0] none of { $capacity } seats left
    [one] 1 of { $capacity } seats left
   *[other] { $left } of { $capacity } seats left
 }
waiting-orders = { $count } waiting
fact-when = When
fact-fee = Fee
fact-seats = Seats
fact-waiting = Waiting list
fact-approval = Confirmation
fact-number = Course no.
fact-course = Course
fact-order = Application no.
fact-people = People
fact-amount = Amount
fact-card = Paid with
fact-ordered-at = Applied on
fact-paid-at = Paid on
fact-refunded-at = Refunded on
per-person = per person
full-note = No seat is free right now. If you apply, you join the waiting list in the order of payment and get a seat automatically when one becomes free. If none does before the course begins, you get a full refund.
not-open-note = This course is not taking applications right now.
apply = Apply
apply-to-wait = Join the waiting list
other-courses = See other courses
apply-title = Apply for a course
steps-of-applying = Steps of applying
apply-step-choose = Choose a course
apply-step-pay = Details and payment
apply-step-done = Done
what-happens = What happens when you apply
happens-pay = Your card is charged at once, and never twice for one application.
happens-delayed = If the payment is delayed, we still take your application and keep trying for { $minutes }. If your card is declined, you can pay with another.
happens-free = This course is free: there is nothing to pay.
happens-waiting = No seat is free, so you join the waiting list. Seats are given in order; if none becomes free, you get a full refund.
happens-manual = A seat is held for you while the manager looks at your application. If it is not confirmed, you get a full refund.
happens-automatic = If a seat is free it is yours at once.
happens-told = We tell you of every change by KakaoTalk, and you can cancel at any time before the course begins.
how-many-people = How many people will take part?
guest-hint = Each person gets a seat. The amount is for all of them.
guest-hint-free = Each person gets a seat.
people-for = { $people }: { $amount }
card-number = Card number
card-hint = You can type digits only.
card-hint-again = If you wait, we try again by ourselves. To pay right now, enter a card number again.
agree-pay = I have checked the application, the amount and the refund policy, and agree to pay.
agree-free = I have checked the application and the refund policy.
pay-and-apply = Pay and apply
sandbox-cards = Cards to try: one ending in 0002 is declined; with one ending in 0119 the card company does not answer; any other is accepted.
