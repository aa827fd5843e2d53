// The servers that are measured: the built Worker and the bare one (`bare.mjs`), each in a workerd of its own, started
// the same way by Miniflare, with the database on disk.
//
// What a server costs is the CPU time of its workerd, of all threads, user and system, as /proc tells it.

import childProcess from "node:child_process";
import crypto from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

const TICKS_PER_SECOND = 100;
const MODULES = { ".js": "ESModule", ".mjs": "ESModule", ".wasm": "CompiledWasm" };

process.env.WRANGLER_SEND_METRICS = "false";
process.env.CLOUDFLARE_CF_FETCH_ENABLED = "false";
process.env.WRANGLER_LOG = "error";

const children = new Set();
const { spawn } = childProcess;
childProcess.spawn = (...args) => {
    const child = spawn(...args);
    children.add(child);
    child.once("exit", () => children.delete(child));
    return child;
};

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "edgewise-bench-"));
process.on("exit", () => {
    for (const child of children) child.kill("SIGKILL");
    fs.rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** The built Worker with its settings as deployed, its tables, and a channel for each measurement. */
export async function startEdgewise(root) {
    const wrangler = await import("wrangler");
    const secret = crypto.randomBytes(32).toString("hex");
    const { workerOptions } = wrangler.unstable_getMiniflareWorkerOptions(path.join(root, "wrangler.toml"));
    const bindings = { JWT_SECRET: secret, RATE_LIMIT_SEND: "off", RATE_LIMIT_REACT: "off", RATE_LIMIT_AUTH: "off" };
    const modulesRoot = path.join(root, "build");
    const modules = ["index.js", "index_bg.wasm"];
    const server = await start({ ...workerOptions, name: "edgewise", bindings, ...listed(modulesRoot, modules) });

    const database = await server.miniflare.getD1Database("DB");
    const folder = path.join(root, "migrations");
    for (const file of fs.readdirSync(folder).filter((name) => name.endsWith(".sql")).sort()) {
        const statements = wrangler.unstable_splitSqlQuery(fs.readFileSync(path.join(folder, file), "utf8"));
        await database.batch(statements.map((sql) => database.prepare(sql)));
    }
    const channel = async (name) => {
        const id = crypto.randomUUID();
        const insert = database.prepare("INSERT INTO channels (id, name, created_at) VALUES (?, ?, ?)");
        await insert.bind(id, name, Date.now()).run();
        return id;
    };
    return { ...server, channel, token: (user) => token(user, secret) };
}

/** The Worker that the built one is compared with. */
export async function startBare() {
    const server = await start({
        name: "bare",
        compatibilityDate: "2026-11-01",
        durableObjects: { OBJECTS: { className: "Bare", useSQLite: true } },
        d1Databases: { DB: "bare" },
        ...listed(import.meta.dirname, ["bare.mjs"]),
    });
    const database = await server.miniflare.getD1Database("DB");
    const table = "CREATE TABLE messages (id INTEGER PRIMARY KEY, content TEXT NOT NULL, nonce TEXT NOT NULL) STRICT";
    await database.prepare(table).run();
    return server;
}

async function start(worker) {
    const { convertV4MiniflareOptions, Log, LogLevel, Miniflare } = await import("miniflare");
    const before = new Set(children);
    const miniflare = new Miniflare(
        convertV4MiniflareOptions({
            workers: [worker],
            host: "127.0.0.1",
            port: 0,
            cf: false,
            resourcePersistencePath: path.join(scratch, worker.name),
            log: new Log(LogLevel.NONE),
        }),
    );
    const { origin } = await miniflare.ready;
    const [workerd, ...others] = [...children].filter((child) => !before.has(child));
    if (!workerd || others.length > 0) throw new Error("Miniflare started another number of processes than one");
    return { origin, miniflare, cpuSeconds: () => cpuSeconds(workerd.pid) };
}

function listed(modulesRoot, files) {
    const modules = files.map((file) => ({ type: MODULES[path.extname(file)], path: path.join(modulesRoot, file) }));
    return { modules, modulesRoot };
}

function cpuSeconds(pid) {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name of the program, in parentheses, may hold anything; utime and stime are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** A bearer token, HS256, for an hour. */
function token(user, secret) {
    const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const seconds = Math.floor(Date.now() / 1000);
    const claims = { sub: user, name: user, iat: seconds, exp: seconds + 3600 };
    const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
    return `${signed}.${crypto.createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
