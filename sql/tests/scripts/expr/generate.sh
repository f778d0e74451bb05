#!/bin/bash
# Makes the golden files from the expressions in *.sql, one a line, with PostgreSQL 15: type and value, or SQLSTATE and message.
# Run it by hand when expressions are added, and review the difference. Needs root (it becomes `postgres`) or PGBIN in reach.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
bin=${PGBIN:-/usr/lib/postgresql/15/bin}
data=$(mktemp -d /tmp/locus-golden.XXXXXX)
as() { if [ "$(id -u)" = 0 ]; then su postgres -c "$*"; else bash -c "$*"; fi; }
[ "$(id -u)" = 0 ] && chown postgres "$data"
port=$((20000 + RANDOM % 10000))
as "$bin/initdb -D $data/db -E UTF8 --locale=C.UTF-8 -A trust -N >$data/log 2>&1"
as "$bin/pg_ctl -D $data/db -w -l $data/log -o '-p $port -k $data -c listen_addresses=127.0.0.1 -c fsync=off' start >/dev/null"
trap 'as "$bin/pg_ctl -D $data/db -w -m immediate stop >/dev/null"; rm -rf "$data"' EXIT
psql="psql -X -q -h 127.0.0.1 -p $port -U postgres -d postgres -v ON_ERROR_STOP=1"
$psql <<'SQL'
alter database postgres set timezone = 'America/New_York';
create function probe(expression text) returns text language plpgsql as $$
declare ty text; value text; source text := split_part(expression, ' from (', 1); rest text := '';
begin
    if position(' from (values' in expression) > 0 or position(' from (select' in expression) > 0 then
        rest := substr(expression, length(source) + 1);
    else
        source := expression;
    end if;
    execute format('select pg_typeof(x)::text, case when x is null and not (pg_typeof(x) = ''record''::regtype) then ''NULL'' else format(''%%s'', x) end from (select %s as x %s) s', source, rest) into ty, value;
    return ty || ' | ' || replace(value, E'\n', '\n');
exception when others then
    return '! ' || sqlstate || ' ' || sqlerrm;
end $$;
SQL
for file in *.sql; do
    while IFS= read -r line; do
        [ -z "$line" ] && continue
        printf '%s\n' "$line"
        printf "select '  ' || probe(:'expression')\n" | $psql -At -v "expression=$line"
    done < "$file" > "${file%.sql}.golden"
done
