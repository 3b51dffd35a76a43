INSERT INTO decisions (subject, version, type, data, time, traceparent, edu_no, seats_version) VALUES
 ('course/101', 1, 'CourseOpened', '{"eduNo":101,"title":"러스트 입문","capacity":2,"fee":50000,"approval":"automatic","startsAt":"2027-01-01T00:00:00.000Z","endsAt":"2027-01-02T00:00:00.000Z","status":"Open"}', '2026-11-22T01:02:03.004Z', NULL, NULL, NULL)
;;
INSERT INTO decisions (subject, version, type, data, time, traceparent, edu_no, seats_version) VALUES
 ('course/102', 1, 'CourseOpened', '{"eduNo":102,"title":"글쓰기","capacity":5,"fee":0,"approval":"manual","startsAt":"2027-01-01T00:00:00.000Z","endsAt":"2027-01-02T00:00:00.000Z","status":"Open"}', '2026-11-22T01:02:03.004Z', NULL, NULL, NULL)
;;
INSERT INTO decisions (subject, version, type, data, time, traceparent, edu_no, seats_version) VALUES
 ('1', 1, 'Reserved', '{"orderId":1,"customerId":7,"eduNo":101,"guest":1,"language":"en","status":"Reservation Confirmed","reservedAt":"2026-11-22T01:03:00.000Z"}', '2026-11-22T01:03:00.000Z', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', 101, 0),
 ('2', 1, 'Reserved', '{"orderId":2,"customerId":7,"eduNo":101,"guest":1,"language":"en","status":"Reservation Confirmed","reservedAt":"2026-11-22T01:03:00.000Z"}', '2026-11-22T01:03:00.000Z', NULL, NULL, NULL),
 ('4', 1, 'Reserved', '{"orderId":4,"customerId":7,"eduNo":101,"guest":1,"language":"ko","status":"Waitlisted","waitingPosition":1,"reservedAt":"2026-11-22T01:03:00.000Z"}', '2026-11-22T01:03:00.000Z', NULL, NULL, NULL)
;;
UPDATE events SET sent = 3753181609164800 + seq
;;
INSERT INTO decisions (subject, version, type, data, time, traceparent, edu_no, seats_version) VALUES
 ('3', 1, 'ReservationCanceled', '{"orderId":3,"eduNo":101,"guest":1,"language":"ko","reason":"expired"}', '2026-11-22T01:04:00.000Z', NULL, 101, 1)
;;
INSERT INTO decisions (subject, version, type, data, time, traceparent, edu_no, seats_version) VALUES
 ('course/101', 2, 'CourseChanged', '{"eduNo":101,"title":"러스트 입문","capacity":2,"fee":60000,"approval":"automatic","startsAt":"2027-01-01T00:00:00.000Z","endsAt":"2027-01-02T00:00:00.000Z","status":"Open"}', '2026-11-22T01:05:00.000Z', NULL, 101, 2)
;;
