array[1,2,3]
array['a','b c',null,'d"e','f\g','','NULL']
array[1, 2.5]
array[]::int[]
'{1,2,3}'::int[]
'{a,"b,c",NULL,"NULL"}'::text[]
'{1,2'::int[]
'{1,,2}'::int[]
'{a}'::int[]
'1,2'::int[]
'{}'::text[]
' { 1 , 2 } '::int[]
(array[1,2,3])[2]
(array[1,2,3])[5]
(array[1,2,3])[1:2]
array_length(array[1,2,3], 1)
array_length(array[]::int[], 1)
array_upper(array[1,2], 1)
array_lower(array[1,2], 1)
array_ndims(array[1,2])
array_dims(array[1,2])
cardinality(array[1,2,3])
cardinality('{}'::int[])
array_append(array[1,2], 3)
array_append(null::int[], 3)
array_prepend(0, array[1,2])
array_cat(array[1], array[2,3])
array[1,2] || 3
array[1,2] || array[3]
0 || array[1,2]
array[1,2] || null::int
array['a'] || 'b'::text
array_remove(array[1,2,1], 1)
array_replace(array[1,2,1], 1, 9)
array_position(array['a','b'], 'b')
array_position(array[1,2], 3)
array_positions(array[1,2,1], 1)
array_fill(7, array[3])
array[1,2,3] @> array[1,3]
array[1] <@ array[1,2]
array[1,2] && array[2,3]
array[1,2] && array[3]
array[1,2] = array[1,2]
array[1,2] < array[1,3]
array[1,2] < array[1,2,3]
1 = any(array[1,2])
3 = any(array[1,2])
3 = any(array[1,null])
1 = all(array[1,1])
1 < all(array[2,3])
1 = any('{1,2}')
'a' = any('{a,b}'::text[])
1 = any(null::int[])
array[1,2]::text
array[1,2]::text[]
array['1','2']::int[]
array[true,false]
array[1.50,2.0]
array['2024-01-01'::date]
array['2024-01-01 10:00'::timestamp]
array[array[1,2]]::text
string_to_array('1,2,3', ',')::int[]
array_to_string(array[true,false], '-')
'{1,2}'::int[] || '{3}'
'abc'::text = any(array['abc','def'])
2 <> all(array[1,3])
