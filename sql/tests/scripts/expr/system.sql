pg_typeof(1)
pg_typeof(1.5)
pg_typeof('a')
pg_typeof(null)
pg_typeof(1::smallint + 1)
pg_typeof(array[1])
pg_typeof(2 ^ 3)
pg_typeof(1 / 2.0)
pg_typeof(sum(1)) from (values (1)) v
pg_typeof(avg(1)) from (values (1)) v
pg_typeof(extract(year from now()))
pg_typeof(case when true then 1 else 2.5 end)
pg_typeof(coalesce(1, 2::bigint))
pg_typeof(date '2024-01-01' - date '2023-01-01')
pg_typeof('a' || 'b')
pg_typeof(round(2.5::float8))
pg_typeof(abs(1::smallint))
format_type(23, -1)
format_type(1043, 24)
format_type(1700, 655366)
format_type(1042, -1)
format_type(1042, null)
format_type(1007, null)
format_type(1184, 3)
format_type(99999999, null)
'integer'::regtype
'int4'::regtype::oid
'character varying(10)'::regtype
'nosuchtype'::regtype
1::nosuchtype
'550e8400-e29b-41d4-a716-446655440000'::uuid
'{550E8400-E29B-41D4-A716-446655440000}'::uuid
'550e8400e29b41d4a716446655440000'::uuid
'550e8400'::uuid
'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid < 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid
to_char(1234.5, '9999.99')
to_char(1234.5, '9,999.99')
to_char(-12.3, '999.9')
to_char(12, '0000')
to_char(12, '9999')
to_char(12, 'FM9999')
to_char(0.5, '9.99')
to_char(0.5, '0.99')
to_char(0.5, 'FM9.99')
to_char(123456, '999')
to_char(12345.678, 'FM999,999.00')
to_char(485, '999th')
to_char(485, 'RN')
to_char(-485, '999S')
to_char(485, 'S999')
to_char(-485, '999MI')
to_char(-485, '999PR')
to_char(485, '$999')
to_char(1234567.891, '9.99EEEE')
to_char(12.5::float8, '99.99')
to_char(100, 'FM999.99')
to_char(0, '9')
to_char(0, '9.9')
to_char(-0.1, '9.9')
to_number('12,454.8-', '99G999D9S')
to_number('1234.56', '9999.99')
to_number('-$1,234', 'S$9,999')
1::int::regclass::oid
num_nulls(1, null, 2)
num_nonnulls(1, null, 2)
1::text::int
'1'::varchar::int
1::varchar(1)
12::varchar(1)
12345::char(3)
'12'::text + 1
1::uuid
date '2024-01-01'::int
true::numeric
1.5::bool
'abc'::varchar || 1
now()::date = current_date
current_user = session_user
version() like 'PostgreSQL 15%'
current_setting('nosuch.setting', true)
current_setting('nosuch')
pg_column_size(1)
