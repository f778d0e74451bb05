#!/usr/bin/env python3
"""Signs in with real drivers in every way there is, and prints what came of it.

    scripts/check-drivers.py LOCUS

LOCUS is the program. Uses psql, psycopg 3, asyncpg, node-postgres and JDBC, as far as they are there: Python and node packages are
taken from ~/.cache/locus/drivers (made by this script with pip and npm), JDBC from Debian's libpostgresql-jdbc-java. Each driver
signs in by password, password and code in the start-up packet, password with the code appended, key, and ticket; is refused with a
wrong password, a wrong code and one that was used, as an unknown role and as a locked one; and gets no session where either side
does not take the other's certificate: the driver trusts another authority, or the certificate of its key has ended. Ends with
status 1 when anything is not as it should be. (tokio-postgres does all this in tests/black_box/sign_in_tls.rs.)
"""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path.home() / ".cache/locus/drivers"
PASSWORD = "violet kettle 77 sparrows"


def code(secret, step):
    digest = hmac.new(secret, struct.pack(">Q", step), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def now_step():
    """Waits out the end of a step, so that what is made now is still good in a moment."""
    while time.time() % 30 > 20:
        time.sleep(0.2)
    return int(time.time()) // 30


class Server:
    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        command = [program, "--log", "warn", "start", "--stop-with-stdin", "--sql-addr", "127.0.0.1:0", "--data", directory]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = next(line for line in self.process.stdout if line.startswith("SQL: "))
        self.url = line[5:].strip()
        parsed = urllib.parse.urlparse(self.url)
        self.host, self.port = parsed.hostname, parsed.port

    def owner(self, text):
        """Runs statements as the owner of the directory; the rows of the last."""
        command = [self.program, "sql", "--url", self.url, "--secrets", f"{self.directory}/secrets"]
        command += ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{text}\n{done.stderr}")
        return done.stdout.strip().splitlines()

    def enrol(self, role):
        uri = self.owner(f"ALTER ROLE {role} ENABLE OTP")[-1]
        secret = urllib.parse.parse_qs(urllib.parse.urlparse(uri).query)["secret"][0]
        secret = base64.b32decode(secret + "=" * (-len(secret) % 8))
        self.owner(f"ALTER ROLE {role} CONFIRM OTP '{code(secret, now_step() - 1)}'")
        return secret

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)


def psql(to):
    url = f"host={to['host']} port={to['port']} dbname=locus user={to['user']} sslmode=verify-full sslrootcert={to['ca']}"
    if "cert" in to:
        url += f" sslcert={to['cert']} sslkey={to['key']}"
    environment = os.environ | {"PGPASSWORD": to["password"]}
    if "otp" in to:
        environment["PGOPTIONS"] = f"-c locus.otp={to['otp']}"
    command = ["psql", url, "-XqAtw", "-c", "SELECT current_user"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode == 0:
        return done.stdout.strip()
    return "refused: " + done.stderr.strip().splitlines()[-1].split("FATAL:  ")[-1]


def run(command, text):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    return done.stdout.strip() or "failed: " + done.stderr.strip()


def drivers():
    """What is there, by name."""
    found = {"psql": psql}
    python = CACHE / "venv/bin/python"
    if not python.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", CACHE / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "psycopg[binary]", "asyncpg"], check=True)
    for name in ["psycopg", "asyncpg"]:
        found[name] = lambda to, name=name: run([python, HERE / "drivers/sign_in.py", name], json.dumps(to))
    if shutil.which("node"):
        if not (CACHE / "node_modules/pg").exists():
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "pg"], cwd=CACHE, check=True)
        found["node-postgres"] = lambda to: run(["node", HERE / "drivers/sign_in.mjs", CACHE], json.dumps(to))
    else:
        print("node-postgres is left out: node is not here (Debian: nodejs npm)")
    jar = pathlib.Path("/usr/share/java/postgresql.jar")
    if shutil.which("java") and jar.exists():
        found["jdbc"] = lambda to: jdbc(jar, to)
    else:
        print(f"JDBC is left out: java or {jar} is not here (Debian: default-jdk-headless libpostgresql-jdbc-java)")
    return found


def jdbc(jar, to):
    if "key" in to:
        # JDBC reads keys as DER only.
        body = "".join(line for line in open(to["key"]) if "-----" not in line)
        der = pathlib.Path(to["key"]).with_suffix(".der")
        der.write_bytes(base64.b64decode(body))
        to = to | {"key": str(der)}
    lines = "".join(f"{name}={value}\n" for name, value in to.items())
    return run(["java", "-cp", jar, HERE / "drivers/SignIn.java"], lines)


def right(outcome, role):
    return outcome == role


def refused(outcome, user):
    """In one text for every reason; where the driver gives a SQLSTATE, it is the one of passwords."""
    text = f'password authentication failed for user "{user}"'
    return outcome.startswith("refused: ") and text in outcome and (outcome.count("28P01") == 1 or outcome == "refused: " + text)


def turned_back(outcome, user):
    """The handshake has failed: nobody was asked who he is."""
    return outcome != user and "28P01" not in outcome and re.search("certificate|PKIX", outcome, re.IGNORECASE) is not None


def cut_off(outcome, user):
    """The server has ended the handshake. asyncpg and JDBC do not pass TLS's alert on: they tell of a broken connection (class 08)."""
    return turned_back(outcome, user) or re.match(r"refused: 08\d{3} ", outcome) is not None


def ended(key, certificate):
    """Makes a certificate of this key whose time is over."""
    request = ["openssl", "req", "-new", "-key", key, "-subj", "/CN=ended"]
    request = subprocess.run(request, capture_output=True, check=True).stdout
    sign = ["openssl", "x509", "-req", "-signkey", key, "-days", "-1", "-out", certificate]
    subprocess.run(sign, input=request, capture_output=True, check=True)


def check(server, name, sign_in, keys):
    """All ways of one driver: what came of each, and whether it is right. Each has roles of its own: a code counts once."""
    role = "by_" + name.replace("-", "_")
    base = {"host": server.host, "port": server.port, "ca": f"{server.directory}/secrets/ca.crt", "password": PASSWORD}
    made = "".join(f"CREATE ROLE {role}{more} LOGIN PASSWORD '{PASSWORD}';" for more in ["", "_packet", "_appended"])
    server.owner(made + f"CREATE ROLE {role}_locked NOLOGIN PASSWORD '{PASSWORD}'")
    output = subprocess.run([server.program, "key", "gen", role, "--out", keys], capture_output=True, text=True, check=True)
    server.owner(output.stdout.splitlines()[0])
    ticket = server.owner(f"SET SESSION AUTHORIZATION {role}; CREATE TICKET")[-1].split("|")
    packet, appended = server.enrol(role + "_packet"), server.enrol(role + "_appended")
    by_key = {"user": role, "password": "", "cert": f"{keys}/{role}.crt", "key": f"{keys}/{role}.key"}
    ended(by_key["key"], f"{keys}/{role}.ended.crt")
    step = now_step()
    in_packet = {"user": role + "_packet", "otp": code(packet, step)}
    outcomes = {
        "password": (sign_in(base | {"user": role}), role, right),
        "code in packet": (sign_in(base | in_packet), role + "_packet", right),
        "code appended": (
            sign_in(base | {"user": role + "_appended", "password": PASSWORD + code(appended, step)}),
            role + "_appended",
            right,
        ),
        "key": (sign_in(base | by_key), role, right),
        "ticket": (sign_in(base | {"user": ticket[0], "password": ticket[1]}), role, right),
        "wrong password": (sign_in(base | {"user": role, "password": "wrong"}), role, refused),
        "wrong code": (sign_in(base | in_packet | {"otp": code(packet, step + 1000)}), role + "_packet", refused),
        "used code": (sign_in(base | in_packet), role + "_packet", refused),
        "unknown role": (sign_in(base | {"user": role + "_nobody"}), role + "_nobody", refused),
        "locked role": (sign_in(base | {"user": role + "_locked"}), role + "_locked", refused),
        "wrong CA": (sign_in(base | {"user": role, "ca": f"{keys}/ca.crt"}), role, turned_back),
        "ended key": (sign_in(base | by_key | {"cert": f"{keys}/{role}.ended.crt"}), role, cut_off),
    }
    return {way: (outcome, judge(outcome, user)) for way, (outcome, user, judge) in outcomes.items()}


def main():
    directory = tempfile.mkdtemp(prefix="locus-drivers-")
    server = Server(os.path.abspath(sys.argv[1]), directory)
    bad = count = 0
    try:
        keys = directory + "/keys"
        # Another authority, of the same name as the server's own.
        stranger = ["cert", "issue", "gateway", "--secrets", directory + "/elsewhere", "--out", keys]
        subprocess.run([server.program, *stranger], capture_output=True, check=True)
        for name, sign_in in drivers().items():
            for way, (outcome, is_right) in check(server, name, sign_in, keys).items():
                print(f"{name:14} {way:15} {'ok ' if is_right else 'BAD'} {outcome}", flush=True)
                bad, count = bad + (not is_right), count + 1
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{bad} of {count} not as they should be" if bad else f"all {count} as they should be")
    sys.exit(1 if bad else 0)


main()
