# The pages of course managers.
open-course = Open a course
open-it = Open the course
manage-none-title = You manage no course yet
manage-none-text = Open one, and take and manage its applications here.
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
tile-money-in = Money in
tile-money-in-note = paid and not given back
tile-money-out = Money given back
tile-money-out-note = canceled or rejected
chart-title = Applications by day
chart-says = { $total } applications in the last { $days } days
to-decide = Applications to decide about
to-decide-none = There is nothing to decide about. New applications appear here at once.
tick-all = Select all
confirm-ticked = Confirm selected
reject-ticked = Reject selected
decide-hint = Whoever is rejected gets all of their money back and is told so. Those who wait get a seat by themselves as one becomes free, so they can only be rejected.
decided = { $count ->
    [one] Decided about 1 application.
   *[other] Decided about { $count } applications.
 }
decided-too-late = { $count } could not be changed from where they stand, and were left as they are.
decided-not-all = Some answers took too long, so some may not be decided. Please check the list below.
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
    [one] 1 waiting application ({ $people } in all) is ended without a seat.
   *[other] { $orders } waiting applications ({ $people } people) are ended without a seat.
 }
refund-sum = { $amount } is given back in all.
refund-all = All that was paid is given back.
finish-seated = { $people ->
    [one] 1 person is recorded as having taken part.
   *[other] { $people } people are recorded as having taken part.
 }
no-money-moves = No money moves.
cancel-course-orders = { $orders ->
    [one] 1 application ({ $people } in all) is canceled.
   *[other] All { $orders } applications ({ $people } people) are canceled.
 }
cancel-course-told = Applicants are told by KakaoTalk.
cannot-be-undone = This cannot be undone.
leave-as-it-is = Leave it as it is
not-possible-now = This is not possible from where the course stands now.
form-title = Title
form-capacity = Seats
form-fee = Fee (won)
form-fee-hint = Per person; 0 is free of charge.
form-starts = Begins
form-ends = Ends
change-hint = Applications already taken keep their price, and who confirms them cannot be changed.
seoul-time = All times are Korean time.
save = Save
