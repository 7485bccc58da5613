import collections, os, re, signal, subprocess, sys, tempfile, time
from pathlib import Path
import psycopg
from tests.postgres import running_postgres
from tests import broker
from store.database import migrate
SECONDS=float(sys.argv[1]) if len(sys.argv)>1 else 60
def run(broker_url):
    with running_postgres() as server, tempfile.TemporaryDirectory() as home:
        with psycopg.connect(server % "postgres", autocommit=True) as c:
            c.execute("CREATE DATABASE idle")
        migrate(server % "idle")
        with psycopg.connect(server % "postgres", autocommit=True) as c:
            c.execute("ALTER SYSTEM SET log_line_prefix='%d|'"); c.execute("SELECT pg_reload_conf()")
            c.execute("ALTER DATABASE idle SET log_statement='all'")
        log = Path(server.rpartition("host=")[2])/"log"
        env = os.environ | {"GAUNTLET_HOME":home,"GAUNTLET_DATABASE_URL":server%"idle","GAUNTLET_BROKER_URL":broker_url,"GAUNTLET_THREADS":"1"}
        worker = subprocess.Popen([sys.executable,"-m","worker"],env=env,stdout=open("/tmp/measure_worker.log","wb"),stderr=subprocess.STDOUT,start_new_session=True)
        try:
            time.sleep(float(os.environ.get("SETTLE","25")))
            start = log.stat().st_size
            time.sleep(SECONDS)
            with log.open("rb") as f:
                f.seek(start); text=f.read().decode()
        finally:
            worker.terminate(); worker.wait(60)
    kinds=collections.Counter()
    for m in re.finditer(r"^idle\|LOG:  (?:execute [^:]*|statement): (.*?)(?=^\S*\|)", text+"\nx|", re.S|re.M):
        kinds[re.sub(r"\s+"," ",m.group(1)).strip()[:int(os.environ.get("W","150"))]]+=1
    total=sum(kinds.values())
    print(f"{total} statements in {SECONDS:g} s: {total/SECONDS:.2f} a second")
    for k,n in kinds.most_common(): print(f"{n/SECONDS:6.2f}  {k}")
with broker.socket_path() as path, broker.running_broker(path) as url:
    run(url)
