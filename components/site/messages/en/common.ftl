# What is said on every page.
site-name = Sugang
site-description = Apply for courses, pay, and see at once where your application stands.
skip-to-main = Skip to the content
menu = Main menu
menu-legal = Terms and policies
menu-courses = Courses
menu-mine = My applications
menu-manage = Manage
menu-operate = Operations
menu-account = My account
menu-sign-in = Sign in
other-language = 한국어
other-language-code = ko
offline = You are offline. This page goes on by itself once you are connected again.
try-again = Try again
look-again = Check again
pages = Pages
previous-page = Previous
next-page = Next
page-of = Page { $page } of { $pages }
free = Free
total = Total
print = Print
minutes = { $minutes ->
    [one] 1 minute
   *[other] { $minutes } minutes
 }
people = { $count ->
    [one] 1 person
   *[other] { $count } people
 }
terms = Terms of use
privacy = Privacy policy
refunds = Refund policy
sandbox-note = This is a sandbox: no money moves and no KakaoTalk messages are sent.
business-name = Company
business-representative = Representative
business-registration = Business registration no.
business-mail-order = Mail-order business no.
business-address = Address
business-contact = Contact
business-hosting = Hosted by

not-found-title = Page not found
not-found-text = The address may have changed, the application may be somebody else’s, or the number does not exist. If you applied as a guest, find your application under “My applications”.
away-title = This cannot be shown right now
sign-in-needed-title = Please sign in
sign-in-needed-text = You can see this page once you are signed in. If you applied as a guest, find your application by its key.
forbidden-title = You do not have access to this page
forbidden-text = Please check that you are signed in with the number that was registered for this role.
refused-title = That could not be done
cross-site-title = This request came from another site
cross-site-text = To keep you safe, nothing was done. Please try again from a page of this site.

away-order = Applications cannot be loaded right now. Yours is safe: please check again in a moment.
away-pay = Payment details cannot be loaded right now. Please check again in a moment.
away-reservation = Courses and seats are delayed. Applications are handled in the order in which they came: please check again in a moment.
away-member = Member details cannot be loaded right now. Please try again in a moment.
away-notification = The record of messages is delayed. Whatever was not sent is sent as soon as possible.
away-information = The history is delayed. Applications and payments go on as usual.

problem-course-not-open = This course no longer takes applications. Please have a look at the others.
problem-unknown-course = There is no such course, or it is still being prepared. Please try again in a moment.
problem-payment-closed = This application can no longer be paid. Please apply again.
problem-transition = Its status has changed in the meantime, so this could not be done. Please check where it stands now.
problem-capacity = A course cannot have fewer seats than are taken.
problem-changed-meanwhile = Somebody changed this in the meantime. Please look at it again, then try once more.
problem-sent-twice = The same form was sent again with other content. Please check it and apply again.
problem-card-company = The card company is not answering. Please try again in a moment; you are never charged twice.
problem-too-often = That was too often within a short time. Nothing was applied for or charged. Please try again in a while.
problem-code-wrong = The code is wrong or has expired.
problem-session-ended = Your session has ended. Please sign in again.
problem-fields = Please check what you entered.
problem-other = That could not be done. Please try again in a moment.

field-card = Enter a card number of 4 to 19 digits.
field-guest = Enter a number of people from 1 to 20.
field-title = Enter a title of up to 200 characters.
field-capacity = Enter a number of seats from 1 to 100,000.
field-fee = Enter a fee from ₩0 to ₩100,000,000.
field-starts = Enter when the course begins.
field-ends = The course has to end after it begins.
field-phone = Enter a mobile number such as 010-1234-5678.
field-code = Enter the six digits that were sent to you.
field-name = Enter your name.
field-email = Enter an e-mail address such as name@example.com.
field-consent = Your consent is needed to go on.
field-other = Please check this field.
