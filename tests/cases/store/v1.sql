PRAGMA application_id = 1131766373;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE events (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        task TEXT NOT NULL,
        job TEXT NOT NULL,
        "group" TEXT NOT NULL,
        "index" INTEGER NOT NULL,
        version INTEGER NOT NULL,
        source TEXT,
        target TEXT NOT NULL,
        node TEXT,
        reason TEXT NOT NULL,
        actor TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;
INSERT INTO "events" VALUES(1,10.0,'d61aa6fc-616f-4ce6-b436-fa3d23301d13','web','app',0,1,NULL,'Scheduled','node1','wanted','ann','{"score node1":"0.5","refused node2":"no memory (never fits)","ports":"http=20000"}');
INSERT INTO "events" VALUES(2,11.0,'d61aa6fc-616f-4ce6-b436-fa3d23301d13','web','app',0,1,'Scheduled','Running','node1','started: wanted','ann','{"container":"c0ffee"}');
INSERT INTO "events" VALUES(3,12.0,'ba8c0938-1276-4ce3-9aaa-2e0befe51bbf','web','app',1,2,NULL,'Pending',NULL,'no node fits','ann','{"refused node1":"no memory"}');
INSERT INTO "events" VALUES(4,13.0,'d61aa6fc-616f-4ce6-b436-fa3d23301d13','web','app',0,1,'Running','Running','node1','health check: healthy','ann','{"health":"healthy"}');
CREATE TABLE identity (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        owner TEXT NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT;
INSERT INTO "identity" VALUES(1,'4ef8672d-175a-4ca9-8624-2f1b8e59e35e',1);
CREATE TABLE jobs (
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        at REAL NOT NULL,
        actor TEXT NOT NULL,
        reason TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (name, version)
    ) STRICT;
INSERT INTO "jobs" VALUES('web',1,1.0,'ann','deployed','{"name":"web","groups":[{"name":"app","spec":{"image":"app:1","command":null,"entrypoint":null,"env":{},"user":null,"resources":{"cpu":0,"memory":0,"disk":0},"ports":[],"volumes":[],"health":null,"labels":{},"stop_signal":"SIGTERM","stop_grace":10.0,"pids_limit":512,"allow_new_privileges":false},"count":1,"constraints":[],"restart":{"attempts":2,"window":1800.0,"delay":5.0},"max_parallel":1}],"type":"service","datacenters":[],"priority":50,"version":1,"stopped":false}');
INSERT INTO "jobs" VALUES('web',2,2.0,'ann','deployed','{"name":"web","groups":[{"name":"app","spec":{"image":"app:1","command":null,"entrypoint":null,"env":{},"user":null,"resources":{"cpu":0,"memory":0,"disk":0},"ports":[],"volumes":[],"health":null,"labels":{},"stop_signal":"SIGTERM","stop_grace":10.0,"pids_limit":512,"allow_new_privileges":false},"count":2,"constraints":[],"restart":{"attempts":2,"window":1800.0,"delay":5.0},"max_parallel":1}],"type":"service","datacenters":[],"priority":50,"version":2,"stopped":false}');
CREATE TABLE lease (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        who TEXT NOT NULL,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        started TEXT NOT NULL,
        since REAL NOT NULL,
        command TEXT NOT NULL
    ) STRICT;
CREATE TABLE looks (
        node TEXT PRIMARY KEY,
        at REAL NOT NULL,
        seen_at REAL,
        stats TEXT,
        cause TEXT,
        why TEXT NOT NULL
    ) STRICT;
INSERT INTO "looks" VALUES('node1',5.0,5.0,'{"at":5.0,"boot_id":"b","machine_id":"m","uptime":1.0,"clock":5.0,"cpus":2,"cpu":{"total":10,"idle":5},"load":[0.1,0.2,0.3],"memory_total":1,"memory_available":1,"disk_total":1,"disk_free":1,"pressure":{"cpu":0.5}}',NULL,'');
CREATE TABLE specs (digest TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
INSERT INTO "specs" VALUES('4a718e1b7417e4ba','{"image":"app:1","command":null,"entrypoint":null,"env":{},"user":null,"resources":{"cpu":0,"memory":0,"disk":0},"ports":[],"volumes":[],"health":null,"labels":{},"stop_signal":"SIGTERM","stop_grace":10.0,"pids_limit":512,"allow_new_privileges":false}');
CREATE TABLE sweeps (
        number INTEGER PRIMARY KEY,
        started REAL NOT NULL,
        finished REAL NOT NULL,
        result TEXT NOT NULL
    ) STRICT;
INSERT INTO "sweeps" VALUES(1,1.0,2.0,'nothing to do');
CREATE TABLE tasks (
        id TEXT PRIMARY KEY,
        job TEXT NOT NULL,
        "group" TEXT NOT NULL,
        "index" INTEGER NOT NULL,
        version INTEGER NOT NULL,
        spec TEXT NOT NULL REFERENCES specs (digest),
        state TEXT NOT NULL,
        "order" INTEGER NOT NULL UNIQUE,
        created_at REAL NOT NULL,
        changed_at REAL NOT NULL,
        node TEXT,
        container TEXT,
        ports TEXT NOT NULL,
        health TEXT NOT NULL,
        check_failures INTEGER NOT NULL,
        restarts INTEGER NOT NULL,
        exit_code INTEGER,
        reason TEXT NOT NULL,
        FOREIGN KEY (job, version) REFERENCES jobs (name, version)
    ) STRICT;
INSERT INTO "tasks" VALUES('d61aa6fc-616f-4ce6-b436-fa3d23301d13','web','app',0,1,'4a718e1b7417e4ba','Running',1,10.0,11.0,'node1','c0ffee','{"http":20000}','healthy',0,0,NULL,'health check: healthy');
INSERT INTO "tasks" VALUES('ba8c0938-1276-4ce3-9aaa-2e0befe51bbf','web','app',1,2,'4a718e1b7417e4ba','Pending',2,12.0,12.0,NULL,NULL,'{}','unchecked',0,0,NULL,'no node fits');
CREATE INDEX tasks_of_a_slot ON tasks (job, "group", "index", "order");
CREATE UNIQUE INDEX one_pending_task_per_slot ON tasks (job, "group", "index")
        WHERE state = 'Pending';
CREATE INDEX events_of_a_task ON events (task);
CREATE INDEX events_of_a_job ON events (job);
CREATE TRIGGER events_do_not_change BEFORE UPDATE ON events
        BEGIN SELECT RAISE (ABORT, 'an event is final'); END;
CREATE TRIGGER events_do_not_vanish BEFORE DELETE ON events
        BEGIN SELECT RAISE (ABORT, 'an event is final'); END;
COMMIT;
