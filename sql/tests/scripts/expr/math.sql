abs(-1.50)
ceil(1.2)
ceil(-1.2)
ceil(-0.5::float8)
floor(-1.2)
floor(2.7::float8)
round(2.5)
round(-2.5)
round(2.5::float8)
round(3.5::float8)
round(1.2345, 2)
round(1.2355, 3)
round(12345, -2)
round(15.5, -1)
trunc(1.999, 1)
trunc(-1.9)
trunc(1.9::float8)
trunc(12345.678, -2)
mod(7, 3)
mod(-7.5, 2)
div(7, 2)
div(-7.5, 2)
power(2, 3)
power(2.0, 3)
power(2, 0.5)
power(0, 0)
power(10.5, 20)
power(1.0001, 1000)
power(-2.0, 3)
power(0.5, 10)
power(2.5::numeric, -3)
sqrt(2)
sqrt(2.0)
sqrt(16.0)
sqrt(0.0001)
sqrt(123456789.0)
sqrt(2::numeric)
sqrt(1e-10::numeric)
sqrt(1e30::numeric)
sqrt(-1)
sqrt(-1.0)
cbrt(27.0)
exp(1)
exp(1.0)
exp(0.0)
exp(10.5)
exp(-5.5)
exp(100.0)
exp(1000)
exp(10000.0)
ln(2)
ln(2.0)
ln(10.0)
ln(0.5)
ln(1.0001)
ln(0)
ln(-1.0)
ln(123456789.123)
ln(1e-20::numeric)
log(100)
log(100.0)
log(2.0, 64.0)
log(2, 10)
log10(1000.0)
log(0.5)
sign(-3)
sign(0.0)
sign(-2.5)
pi()
degrees(pi())
radians(180)
sin(1)
cos(1)
tan(0.5)
asin(0.5)
asin(2)
acos(0.5)
atan(1)
atan2(1, 2)
sinh(1)
cosh(1)
tanh(0.5)
gcd(12.5, 2.5)
lcm(1.5, 2.25)
factorial(20)
factorial(30)
width_bucket(5.35, 0.024, 10.06, 5)
width_bucket(5.35::float8, 0.024, 10.06, 5)
width_bucket(11, 0, 10, 5)
width_bucket(3, 10, 0, 5)
width_bucket(3, 1, 1, 5)
scale(1.500)
min_scale(1.500)
trim_scale(1.500)
greatest(1.5, 2)
1.23::numeric(3,1)
123.456::numeric(5,2)
1234.5::numeric(5,2)
99.995::numeric(4,2)
0.5::numeric(3,3)
1.5::numeric(3,3)
12345::numeric(3,-2)
'NaN'::numeric(5,2)
1.5::int
2.5::int
-2.5::int
2.5::float8::int
3.5::float8::int
1e20::int
1e10::float8::int
32768::smallint
'NaN'::float8::int
123.456::float8::numeric
0.1::float4::numeric
1e20::float8::numeric
1e-7::float8::numeric
1234567.891::float4::numeric
1.5::numeric::float4
12345678901234567890::float8
'1.5e3'::numeric
'1e-3'::numeric
' 12.50 '::numeric
'1.2.3'::numeric
''::numeric
'-0.0'::numeric
-0.0::float8
'0x10'::int
' 42 '::int
'42.5'::int
'99999999999'::int
'-32769'::smallint
1::bool
0::bool
true::int
'yes'::bool
'off'::bool
'maybe'::bool
't'::boolean
5::text
5::bigint::oid
-1::int::oid
4294967295::oid::int
1::oid = 1
'infinity'::float4
float8 '1.5'
int4 '12'
2::numeric ^ 100
1.5 ^ 50
0.01 ^ 20
2.00001::numeric ^ 3
1.5::numeric ^ 0.5
10::numeric ^ -20
0.9::numeric ^ 2.5
123.456::numeric ^ 7.7
exp(-5000.0)
exp(5999.0) > 0
exp(0.00001)
ln(1e100::numeric)
ln(0.99)
ln(3.00000000000000000000000000001)
log(1.1, 1000.0)
log(1e-5::numeric)
sqrt(99999999999999.99)
sqrt(0.5)
1e-20::numeric / 3
1e20::numeric / 3
0 / 3.0
0.000 / 7
99999.0 / 10000
9999 / 10000.0
10000 / 9999.0
