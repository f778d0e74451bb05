1 + 2
7 / 2
-7 / 2
7 % -3
-7 % 3
2147483647 + 1
-2147483648 - 1
2147483647::bigint + 1
9223372036854775807 + 1
32767::smallint + 1::smallint
1 / 0
1.0 / 0
1::float8 / 0
5 % 0
mod(5, 0)
abs(-5)
abs((-2147483648)::int)
- (-32768)::smallint
1.5 + 1
1.5 * 2.50
10 / 4.0
1 / 3.0
2 / 3.0
100 / 3.0
1000000 / 7.0
0.0001 / 3
1e10 / 3
123456789012345678901234567890 * 987654321098765432109876543210
123456789.123456789 / 0.000987
12345678901234567890 / 3
1.0 / 3.0 * 3.0
5.5 % 2
-5.5 % 2
1.10 - 0.1
3.14::float8 * 2
0.1::float8 + 0.2::float8
1e308::float8 * 10
1e-308::float8 / 1e10
1::float4 / 3::float4
16777217::float4
1e15::float8
1e14::float8
123456789012345678::float8
0.0001::float8
0.00001::float8
1e6::float4
123456.7::float4
'NaN'::float8
'-Infinity'::float8
'NaN'::numeric
'Infinity'::numeric - 'Infinity'::numeric
'1e400'::float8
1 << 4
256 >> 2
5 & 3
5 | 3
5 # 3
~5
2 ^ 10
2 ^ 0.5
2::numeric ^ 10
2::numeric ^ -2
2.5 ^ 3.2
0 ^ -1
(-8) ^ (1.0/3)
|/ 25
||/ 27
@ -5.5
1::smallint + 1::bigint
1 + 1::smallint
1 + 1.5::float4
3000000000 + 1
'5' + 3
'abc' + 3
'5' + '6'
1 + true
1 = 1.0
1 < 2.5
'a' < 'b'
null + 1
1 <> null
true and null
false and null
true or null
not null::bool
null is null
1 is distinct from null
null is not distinct from null
1 in (1, 2, null)
3 in (1, 2, null)
3 not in (1, 2)
5 between 1 and 10
5 not between 6 and 10
case when 1 > 2 then 'a' when 2 > 1 then 'b' else 'c' end
case 3 when 1 then 'one' when 3 then 'three' end
case when true then 1 else 2.5 end
case when true then 1 else 'x' end
coalesce(null, 2, 1/0)
coalesce(null, 1.5, 2)
nullif(1, 1)
nullif(1, 2)
greatest(1, 2.5, null)
least('b', 'a', 'c')
greatest(null::int, null)
gcd(12, 18)
lcm(4, 6)
gcd(-12, 18)
lcm(9223372036854775807, 2)
1 = '1'
1 = 'x'
1::bigint = 1::smallint
'2020-01-01'::date = '2020-01-01'::timestamp
(1, 2) = (1, 2)
(1, 2) < (1, 3)
row(1, 'a', null)
true > false
- 5
+ 5
2 * 3 + 4
2 + 3 * 4
- 2 ^ 2
10 - 3 - 2
