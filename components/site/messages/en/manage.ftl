# The pages of course managers.
open-course = Open a course
open-it = Open the course
manage-title = Manage courses
manage-none-title = You do not manage any courses yet
manage-none-text = Open one, then take and manage its applications here.
course-number = course no. { $number }
taken-of = { $taken } of { $capacity } seats taken
guest-applicant = Guest
member-number = Member { $number }
orders-of = { $count ->
    [one] 1 application
   *[other] { $count } applications
 }
of-seats = of { $capacity }
tile-confirmed = Confirmed
tile-requested = To be confirmed
tile-waiting = Waiting
tile-left = Seats left
tile-money-in = Payments
tile-money-in-note = paid and not refunded
tile-money-out = Refunds
tile-money-out-note = canceled or rejected
chart-title = Applications by day
chart-says = { $total ->
    [one] 1 application in the last { $days } days
   *[other] { $total } applications in the last { $days } days
 }
to-decide = Waiting for your decision
to-decide-none = There is nothing to decide. New applications appear here at once.
tick-all = Select all
confirm-ticked = Confirm selected
reject-ticked = Reject selected
decide-hint = Anyone you reject gets a full refund and is told so. Those on the waiting list get a seat automatically when one becomes free, so they can only be rejected.
decided = { $count ->
    [one] 1 application was handled.
   *[other] { $count } applications were handled.
 }
decided-too-late = { $count } could no longer be changed and were left as they are.
decided-not-all = Some answers took too long, so some applications may not have been handled. Please check the list below.
decided-none = No application was selected. Please select some first.
change-course = Change the course
start-course = Start
finish-course = Finish
cancel-course = Cancel the course
roster = Roster
roster-csv = Download as CSV
roster-none-title = The roster is empty
roster-none-text = Whoever has a seat or waits for one appears here.
column-no = No.
column-who = Applicant
column-since = Since
column-here = Present
as-applicants-see-it = As applicants see it
back-to-course = Back to the course
start-title = Start this course?
start-confirm = Yes, start it
finish-title = Finish this course?
finish-confirm = Yes, finish it
cancel-course-title = Cancel this course?
cancel-course-confirm = Yes, cancel the course
what-it-does = What this does
start-closes = No more applications are taken, and applicants can no longer cancel.
start-seated = { $people ->
    [one] 1 person with a seat takes part.
   *[other] { $people } people with a seat take part.
 }
start-requested = { $orders ->
    [one] 1 application is still to be confirmed: please decide about it first.
   *[other] { $orders } applications are still to be confirmed: please decide about them first.
 }
start-waiting = { $orders ->
    [one] 1 waiting application ({ $people }) is ended without a seat.
   *[other] { $orders } waiting applications ({ $people }) are ended without a seat.
 }
refund-sum = { $amount } is refunded in all.
refund-all = All payments are refunded.
finish-seated = { $people ->
    [one] 1 person is recorded as having taken part.
   *[other] { $people } people are recorded as having taken part.
 }
no-money-moves = No money moves.
cancel-course-orders = { $orders ->
    [one] 1 application ({ $people }) is canceled.
   *[other] All { $orders } applications ({ $people }) are canceled.
 }
cancel-course-told = Applicants are told by KakaoTalk.
cannot-be-undone = This cannot be undone.
leave-as-it-is = Leave it as it is
not-possible-now = This is not possible in the course’s present state.
form-title = Title
form-capacity = Seats
form-fee = Fee (won)
form-fee-hint = Per person; 0 means free.
form-starts = Begins
form-ends = Ends
change-hint = Applications already taken keep their price, and who confirms them cannot be changed.
seoul-time = All times are Korean time.
save = Save
