# Templates of terms and policies, for the operator to change.
legal-template-note = This text is a template. Whoever runs the site has to change it to what is so before publishing it.
terms-purpose = 1. Purpose
terms-purpose-text = These terms say under which conditions the company offers this course-application service, and what rights and duties the company and its users have.
terms-contract = 2. When a contract is made
terms-contract-text = A contract is made when a user applies for a course and the company says that it has the application.
    Where the manager has to confirm, the contract about the course is made with that confirmation.
terms-payment = 3. Payment
terms-payment-text = The fee is paid by card with the application. A payment that is delayed is tried again for a set time; an application that is not paid by then is canceled.
terms-waiting = 4. Waiting list
terms-waiting-text = Whoever applies for a course that is full joins the waiting list in the order of payment. If no seat becomes free before the course begins, all of the money is given back.
terms-duties = 5. Duties of users
terms-duties-text = Users must not use the details of other people, nor disturb the service.
terms-law = 6. Law
terms-law-text = What is not said here follows the Act on the Consumer Protection in Electronic Commerce, the Lifelong Education Act and the other laws of the Republic of Korea.
privacy-what = 1. What we process
privacy-what-text = Members: name, mobile number, e-mail address (if given), language, consents, records of access.
    Applications and payments: number, course, people, amount, the last four digits of the card. The whole card number is not kept once the payment is over.
privacy-why = 2. Why
privacy-why-text = Only to know who you are, to take applications and payments, to tell you where they stand, and to answer you.
privacy-how-long = 3. For how long
privacy-how-long-text = What is about a member is destroyed as soon as they leave.
    As Article 6 of the Enforcement Decree of the Act on Electronic Commerce demands, records of contracts and payments are kept apart for five years, and those of complaints and disputes for three.
privacy-whom = 4. Who processes it for us
privacy-whom-text = A payment provider and a sender of messages may process it for us; who they are and what they do is published here.
privacy-rights = 5. Your rights
privacy-rights-text = Under “My account” you can see, correct and download your data, withdraw a consent, and leave, at any time.
privacy-cookies = 6. Cookies
privacy-cookies-text = Cookies are used only to remember that you are signed in, the keys of a guest’s applications, and your language. There are none for advertising or statistics.
refunds-here = Canceling on this site
refunds-here-text = Before the course begins you can cancel at any time and get all of your money back.
    You also get all of it back if the manager does not confirm, if no seat becomes free, or if the course is canceled.
refunds-course = Once the course has begun
refunds-course-text = If you leave a course of up to a month, you get back 2/3 before a third of the hours has passed, 1/2 before a half has, and nothing after that.
    For a longer course the present month is counted like this, and all later months are given back.
refunds-law = Law
refunds-law-text = Refunds are due within five days (Article 23 and Table 3 of the Enforcement Decree of the Lifelong Education Act) and within three business days (Article 18 of the Act on Electronic Commerce).
