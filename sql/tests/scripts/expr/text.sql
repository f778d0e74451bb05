length('hello')
length('héllo')
length('ab  '::char(5))
char_length('日本語')
octet_length('日本語')
bit_length('abc')
lower('HéLLO')
upper('straße')
initcap('hello wORLD foo-bar 1st o''neil')
substr('hello', 2)
substr('hello', 2, 3)
substr('hello', -1, 3)
substr('hello', 0)
substr('hello', 2, -1)
substring('hello' from 2 for 3)
substring('hello' for 2)
substring('foobar' from 'o.b')
substring('foobar' from 'o(.)b')
substring('foobar' from 'x')
position('lo' in 'hello')
position('x' in 'hello')
strpos('héllo', 'l')
trim('  hi  ')
trim(both 'x' from 'xxhixx')
trim(leading 'x' from 'xxhixx')
trim(trailing from 'hi  ')
btrim('xyhixy', 'xy')
ltrim('  hi')
rtrim('hixx', 'x')
lpad('hi', 5)
lpad('hi', 5, 'xy')
lpad('hello', 2)
rpad('hi', 5, 'xyz')
rpad('hi', -1)
replace('hello', 'l', 'LL')
replace('hello', '', 'x')
repeat('ab', 3)
repeat('ab', 0)
repeat('ab', -1)
reverse('héllo')
split_part('a,b,c', ',', 2)
split_part('a,b,c', ',', -1)
split_part('a,b,c', ',', 5)
split_part('a,b,c', ',', 0)
left('hello', 2)
left('hello', -2)
right('hello', 2)
right('hello', -2)
concat('a', 1, null, true, 2.50)
concat_ws(',', 'a', null, 'b', 3)
concat_ws(null, 'a', 'b')
'a' || 'b'
'a' || 1
1 || 'a'
'a' || null
'a' || true
1.50 || 'x'
'x'::char(3) || 'y'
ascii('A')
ascii('é')
ascii('')
chr(65)
chr(233)
chr(0)
md5('hello')
md5('')
md5('The quick brown fox jumps over the lazy dog, twice over and then some more text to fill blocks')
format('Hello %s', 'World')
format('%s %s', 1, 2)
format('%I', 'my table')
format('%I', 'select')
format('%I', 'plain')
format('%L', 'it''s')
format('%L', null)
format('%s', null)
format('%%')
format('%1$s %1$s %2$s', 'a', 'b')
format('|%10s|', 'hi')
format('|%-10s|', 'hi')
format('|%*s|', 6, 'hi')
format('%s')
format('%d', 1)
quote_ident('Foo bar')
quote_ident('foo')
quote_ident('user')
quote_literal('it''s')
quote_literal('a\b')
quote_literal(42)
quote_nullable(null)
translate('12345', '143', 'ax')
starts_with('alphabet', 'alph')
'alphabet' ^@ 'alph'
overlay('Txxxxas' placing 'hom' from 2 for 4)
overlay('abcdef' placing 'XY' from 2)
to_hex(255)
to_hex(-1)
encode('hello'::bytea, 'hex')
encode('hello'::bytea, 'base64')
encode('\x00ff5c'::bytea, 'escape')
decode('68656c6c6f', 'hex')
decode('aGVsbG8=', 'base64')
decode('zz', 'hex')
'\x68656c6c6f'::bytea
'abc\\def'::bytea
'\x1'::bytea
length('\x0001'::bytea)
'\x01'::bytea || '\x02'::bytea
substr('\x010203'::bytea, 2, 1)
get_byte('\x010203'::bytea, 1)
'hello' like 'h%'
'hello' like 'h_llo'
'hello' like 'H%'
'hello' ilike 'H%'
'a%b' like 'a\%b'
'a%b' like 'a!%b' escape '!'
'abc' like 'abc\'
'hello' not like '%l'
'' like '%'
'abc' like '%b%'
'abc' similar to 'a(b|x)c'
'abc' similar to '%(b|d)%'
'abc' similar to 'b'
'abc' not similar to 'a_c'
'foobar' ~ 'o+b'
'foobar' ~ '^o'
'FOO' ~* 'foo'
'foo' !~ 'x'
'foo' !~* 'F'
'a.b' ~ 'a\.b'
'word boundary' ~ '\mbound'
'abc' ~ '['
regexp_replace('foobarbaz', 'b..', 'X')
regexp_replace('foobarbaz', 'b..', 'X', 'g')
regexp_replace('foobar', '(o)(b)', '\2\1')
regexp_replace('foobar', 'B', '[\&]', 'i')
regexp_match('foobarbequebaz', '(bar)(beque)')
regexp_match('foo', 'x')
regexp_match('foobar', 'o.')
regexp_split_to_array('hello world foo', '\s+')
regexp_split_to_array('abc', '')
regexp_like('Hello', 'hello', 'i')
regexp_count('banana', 'a')
regexp_substr('foobar', 'b..')
'abc'::char(5)
'abc'::char
'abcdef'::varchar(3)
'abcdef'::char(3)
'a '::char(3) = 'a'::char(5)
'a '::varchar = 'a'::varchar
'abc'::name
'abc'::"char"
65::"char"
'a'::text < 'B'::text
'é' > 'z'
length(repeat('x', 100))
'tRuE'::bool::text
true::text
true || ''
string_to_array('a,b,c', ',')
string_to_array('a,b,,c', ',', '')
string_to_array('abc', null)
string_to_array('', ',')
array_to_string(array[1,2,null,3], ',')
array_to_string(array[1,2,null,3], ',', '*')
'{"a": 1}'::json
'{a}'::json
'a' collate "C" < 'b'
'foo' = 'foo '
'abc' between 'abb' and 'abd'
parse_ident('foo.bar')
foo('x')
upper(1)
length(5)
substr('a', 'b')
to_char(1.5, '9D99') || 'x'
'abc' like 'a%c_'
'%' like '\%'
'ab' like '_%_'
'a' < null
'a' || array['b']
array['a'] || 'b'
length(E'a\tb')
'\'::text
E'\\x41'::bytea
upper('ß')
repeat('x', 2000000000)
chr(1114112)
chr(-1)
lpad('', 3, 'é')
concat()
concat(null)
format('%s and %s', 'a')
format('%2$s', 'a', 'b')
split_part('', ',', 1)
strpos('abc', '')
'x' between symmetric 'z' and 'a'
