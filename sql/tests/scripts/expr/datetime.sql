'2024-02-29'::date
'2023-02-29'::date
'2024-13-01'::date
'20240506'::date
'Jan 5 2024'::date
'5 January 2024'::date
'January 5, 2024'::date
'1/8/1999'::date
'1999-Jan-08'::date
'08-Jan-1999'::date
'infinity'::date
'epoch'::date
'44-03-15 BC'::date
'0044-03-15 BC'::date
'abc'::date
''::date
'5874897-12-31'::date
'5874898-01-01'::date
'12:34:56'::time
'12:34:56.789'::time
'12:34'::time
'01:30 PM'::time
'12:00 AM'::time
'24:00:00'::time
'25:00:00'::time
'12:34:56.7899'::time(2)
'2024-05-06 07:08:09'::timestamp
'2024-05-06T07:08:09.123456'::timestamp
'2024-05-06 07:08:09.1234567'::timestamp
'2024-05-06'::timestamp
'2024-05-06 07:08:09+05'::timestamp
'infinity'::timestamp
'-infinity'::timestamptz
'2024-05-06 25:00:00'::timestamp
'bad'::timestamp
'2024-05-06 07:08:09'::timestamptz
'2024-05-06 07:08:09+00'::timestamptz
'2024-05-06 07:08:09Z'::timestamptz
'2024-05-06 07:08:09+05:30'::timestamptz
'2024-01-06 07:08:09 America/Los_Angeles'::timestamptz
'2024-01-06 07:08:09 EST'::timestamptz
'2024-03-10 02:30:00'::timestamptz
'2024-11-03 01:30:00'::timestamptz
'2024-05-06 07:08:09 Nowhere/City'::timestamptz
'1900-01-01 00:00:00'::timestamptz
'2024-05-06 07:08:09.6'::timestamp(0)
'1 year 2 months 3 days'::interval
'1 day'::interval
'-1 day'::interval
'1 day -2 hours'::interval
'04:05:06'::interval
'-04:05:06.5'::interval
'1 year -1 day 02:00'::interval
'P1Y2M3DT4H5M6S'::interval
'1.5 years'::interval
'1.5 months'::interval
'1.5 days'::interval
'2 weeks'::interval
'1 hour 30 minutes'::interval
'90 minutes'::interval
'100 seconds'::interval
'1-2'::interval
'1 2:03:04'::interval
'1 day ago'::interval
'5'::interval
'abc'::interval
interval '1' year
interval '1 day' * 2
interval '1 month' * 1.5
interval '1 day' / 3
interval '1 year' / 0
interval '1 day' + interval '2 hours'
interval '1 month' > interval '29 days'
interval '30 days' = interval '1 month'
- interval '1 day 02:00'
date '2024-01-31' + interval '1 month'
date '2024-01-31' + 1
date '2024-03-01' - 1
date '2024-03-01' - date '2024-02-01'
date '2024-01-01' + time '12:00'
timestamp '2024-01-31 10:00' + interval '1 month'
timestamp '2024-03-31 10:00' - interval '1 month'
timestamp '2024-01-02' - timestamp '2024-01-01 12:00'
timestamp '2024-03-01' - timestamp '2023-03-01'
timestamptz '2024-03-09 12:00' + interval '1 day'
timestamptz '2024-03-09 12:00' + interval '24 hours'
time '10:00' + interval '15 hours'
time '10:00' - time '08:30'
age(timestamp '2024-03-15', timestamp '2000-05-20')
age(timestamp '2000-05-20', timestamp '2024-03-15')
age(timestamp '2024-03-31 10:00', timestamp '2024-02-29 11:00')
extract(year from timestamp '2024-05-06 07:08:09.123456')
extract(month from date '2024-05-06')
extract(second from timestamp '2024-05-06 07:08:09.123456')
extract(milliseconds from timestamp '2024-05-06 07:08:09.123456')
extract(microseconds from time '07:08:09.123456')
extract(epoch from timestamp '2024-05-06 07:08:09.5')
extract(epoch from timestamptz '2024-05-06 07:08:09+00')
extract(epoch from date '2024-05-06')
extract(epoch from interval '1 year 2 days 03:00')
extract(dow from date '2024-05-05')
extract(isodow from date '2024-05-05')
extract(doy from date '2024-12-31')
extract(week from date '2024-12-30')
extract(isoyear from date '2024-12-30')
extract(quarter from date '2024-05-06')
extract(decade from date '1999-05-06')
extract(century from date '2000-05-06')
extract(millennium from date '2001-05-06')
extract(century from date '0044-01-01 BC')
extract(year from date '0044-01-01 BC')
extract(julian from date '2024-05-06')
extract(timezone from timestamptz '2024-05-06 07:08:09+00')
extract(timezone_hour from timestamptz '2024-05-06 07:08:09+00')
extract(hour from interval '25:00')
extract(day from interval '40 days 10:00')
extract(fortnight from date '2024-05-06')
extract(hour from date '2024-05-06')
date_part('year', timestamp '2024-05-06')
date_part('epoch', timestamp '1970-01-01 00:00:00.25')
date_trunc('month', timestamp '2024-05-06 07:08:09')
date_trunc('week', timestamp '2024-05-05 07:08:09')
date_trunc('quarter', timestamp '2024-05-06')
date_trunc('century', timestamp '2024-05-06')
date_trunc('hour', timestamptz '2024-05-06 07:48:09+00')
date_trunc('day', timestamptz '2024-05-06 02:48:09+00')
date_trunc('day', timestamptz '2024-05-06 02:48:09+00', 'Asia/Tokyo')
date_trunc('hour', interval '2 days 03:45')
date_trunc('foo', timestamp '2024-05-06')
date_bin('15 minutes', timestamp '2020-02-11 15:44:17', timestamp '2001-01-01')
make_date(2024, 2, 29)
make_date(2023, 2, 29)
make_date(-44, 3, 15)
make_time(8, 15, 23.5)
make_timestamp(2013, 7, 15, 8, 15, 23.5)
make_timestamptz(2013, 7, 15, 8, 15, 23.5)
make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'Asia/Tokyo')
make_interval(1, 2, 3, 4, 5, 6, 7.5)
to_timestamp(1284352323)
to_timestamp(1284352323.5)
timestamp '2024-05-06 12:00' at time zone 'Asia/Tokyo'
timestamptz '2024-05-06 12:00+00' at time zone 'Asia/Tokyo'
timestamptz '2024-05-06 12:00+00' at time zone 'UTC'
timestamptz '2024-05-06 12:00+00' at time zone '+03'
timestamptz '2024-05-06 12:00+00' at time zone interval '-03:00'
timestamptz '2024-05-06 12:00+00' at time zone 'Nowhere'
timestamptz '2024-05-06 12:00+00'::date
timestamptz '2024-05-06 02:00+00'::date
timestamptz '2024-05-06 02:00+00'::timestamp
timestamptz '2024-05-06 02:00+00'::text
timestamp '2024-05-06 02:00'::timestamptz
timestamp '2024-05-06 02:03:04'::time
date '2024-05-06'::timestamp
date '2024-05-06'::timestamptz
interval '25 hours'::time
time '12:00'::interval
justify_hours(interval '27 hours')
justify_days(interval '35 days')
justify_interval(interval '1 mon -1 hour')
isfinite(date 'infinity')
to_char(timestamp '2024-05-06 17:08:09.123456', 'YYYY-MM-DD HH24:MI:SS.MS')
to_char(timestamp '2024-05-06 17:08:09', 'HH12:MI:SS AM')
to_char(timestamp '2024-05-06 17:08:09', 'Day, DD Month YYYY')
to_char(timestamp '2024-05-06 17:08:09', 'FMDay, FMDD FMMonth YYYY')
to_char(timestamp '2024-05-06 17:08:09', 'Dy Mon DDth, MON, mon, month')
to_char(timestamp '2024-05-06 17:08:09.123456', 'US FF3 SSSS Q WW IW D ID DDD CC J')
to_char(timestamp '2024-05-06 07:08:09', '"quoted YYYY" YYYY, Y,YYY YY RM rm')
to_char(timestamp '2024-05-06 07:08:09', 'a.m. P.M. pm A.D. BC')
to_char(timestamptz '2024-05-06 07:08:09+00', 'YYYY-MM-DD HH24:MI:SS TZ OF tz TZH')
to_char(date '2024-05-06', 'IYYY-IW-ID')
to_char(interval '15h 2m 12s', 'HH24:MI:SS')
to_date('05 Dec 2000', 'DD Mon YYYY')
to_date('2000-12-05', 'YYYY-MM-DD')
to_date('20001205', 'YYYYMMDD')
to_date('12/05/99', 'MM/DD/YY')
to_date('2000-13-05', 'YYYY-MM-DD')
to_timestamp('2000-12-05 13:14:15', 'YYYY-MM-DD HH24:MI:SS')
to_timestamp('05 Dec 2000 01:02 PM', 'DD Mon YYYY HH:MI PM')
to_timestamp('2000-12-05 13:14:15.678', 'YYYY-MM-DD HH24:MI:SS.MS')
date '2024-01-01' < timestamp '2024-01-01 00:00:01'
date '2024-01-01' = timestamptz '2024-01-01 05:00+00'
timestamp '2024-01-01' < timestamptz '2024-01-01 05:00+00'
timestamp '294276-12-31 23:59:59' + interval '1 day'
date '2024-01-01' - interval '1 day'
'today'::date - 'yesterday'::date
pg_typeof(now())
now() = current_timestamp
'2024-05-06 07:08:09.999999999'::timestamp
'10000-01-01'::date
'300000-01-01'::timestamp
'2024-02-30'::timestamp
'2024-05-06 07:08 PM'::timestamp
'May 6 07:08:09 2024'::timestamp
'Mon May 06 07:08:09 2024'::timestamp
'2024-05-06 07:08:09 -03:30'::timestamptz
'20240506T070809'::timestamp
'20240506 070809'::timestamp
'2024.123'::date
'J2451187'::date
'1 mon -1 days'::interval
'-1 mons +2 days -03:04:05'::interval
'1 century 2 decades'::interval
'1.25 hours'::interval
'0.5 weeks'::interval
'3 days 12.5 hours'::interval
'1:30'::interval
'1:30.5'::interval
'-5 minutes'::interval
'+1 day'::interval
'2147483648 days'::interval
interval '1' day
interval '1-2' year to month
interval '1 2:03:04.567' day to second
interval '3 years 5 mons' year
interval '1.23456789 seconds' second(2)
