"""Signs in by one driver and says who it is: sign_in.py psycopg|asyncpg, the connection as JSON on standard input."""
import asyncio
import json
import ssl
import sys


def by_psycopg(to):
    import psycopg

    tls = {"sslmode": "verify-full", "sslrootcert": to["ca"]}
    if "cert" in to:
        tls |= {"sslcert": to["cert"], "sslkey": to["key"]}
    if "otp" in to:
        tls["options"] = "-c locus.otp=" + to["otp"]
    try:
        with psycopg.connect(
            host=to["host"], port=to["port"], dbname="locus", user=to["user"], password=to["password"], **tls
        ) as connection:
            return connection.execute("SELECT current_user").fetchone()[0]
    except psycopg.OperationalError as error:
        # Refused before there is a connection: libpq gives a text and no SQLSTATE.
        return "refused: " + str(error).strip().splitlines()[-1].split("FATAL:  ")[-1]


async def by_asyncpg(to):
    import asyncpg

    context = ssl.create_default_context(cafile=to["ca"])
    if "cert" in to:
        context.load_cert_chain(to["cert"], to["key"])
    settings = {"locus.otp": to["otp"]} if "otp" in to else {}
    try:
        connection = await asyncpg.connect(
            host=to["host"], port=to["port"], database="locus", user=to["user"], password=to["password"],
            ssl=context, server_settings=settings,
        )
    except asyncpg.PostgresError as error:
        return f"refused: {error.sqlstate} {error}"
    except OSError as error:
        return f"refused: {error}"
    try:
        return await connection.fetchval("SELECT current_user")
    finally:
        await connection.close()


to = json.load(sys.stdin)
print(by_psycopg(to) if sys.argv[1] == "psycopg" else asyncio.run(by_asyncpg(to)))
