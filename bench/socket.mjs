// WebSockets: one that sends with many requests in flight, and many that only receive.

import crypto from "node:crypto";
import WebSocket from "ws";

import * as frames from "./frames.mjs";
import { CONTENT } from "./rest.mjs";

const AT_ONCE = 32;

/** Opens a socket; `receive` gets its frames, from the first on. */
export function open(url, token, receive) {
    const protocols = token ? ["edgewise.v1", `bearer.${token}`] : [];
    const socket = new WebSocket(url.replace("http", "ws"), protocols, { perMessageDeflate: false });
    socket.on("message", receive);
    return new Promise((resolve, reject) => {
        socket.once("open", () => resolve(socket));
        socket.once("error", reject);
        socket.once("close", (code) => reject(new Error(`${url}: closed with ${code}`)));
    });
}

/** Sends over one socket, so many requests in flight at any time. */
export class Pipeline {
    static async open(url, token) {
        const pipeline = new Pipeline();
        pipeline.socket = await open(url, token, (frame) => pipeline.receive?.(frame));
        return pipeline;
    }

    /** Sends that many messages, and resolves when all are acked. */
    async send(messages, inFlight) {
        let left = messages;
        let unanswered = messages;
        const next = () => {
            if (left-- > 0) this.socket.send(frames.sendRequest(String(left), CONTENT, crypto.randomUUID()));
        };
        const answered = new Promise((resolve, reject) => {
            this.receive = (frame) => {
                try {
                    const { acks } = frames.count(frame);
                    unanswered -= acks;
                    for (let ack = 0; ack < acks; ack += 1) next();
                    if (unanswered === 0) resolve();
                } catch (error) {
                    reject(error);
                }
            };
        });
        for (let request = 0; request < inFlight; request += 1) next();
        await answered;
    }
}

/** Sockets that count what comes. Only the first reads its frames: every other has to get as many bytes as it. */
export class Audience {
    static async open(url, tokens, messagesIn) {
        const audience = new Audience();
        audience.messagesIn = messagesIn;
        audience.bytes = tokens.map(() => 0);
        audience.total = 0;
        audience.sockets = [];
        const waiting = [...tokens.entries()];
        const opener = async () => {
            for (let next; (next = waiting.shift()); ) {
                const [place, token] = next;
                const socket = await open(url, token, (frame, isBinary) => {
                    if (isBinary) audience.receive(place, frame);
                    else audience.ponged();
                });
                audience.sockets.push(socket);
            }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, opener));
        await audience.quiet();
        return audience;
    }

    receive(place, frame) {
        this.total += frame.length;
        this.bytes[place] += frame.length;
        this.frames += 1;
        if (place === 0) this.messages += this.messagesIn(frame);
        if (this.arrived?.()) this.done();
    }

    /** Shows that all are there: the silent ones would be taken for gone, and the others told of it, in mid-measurement. */
    async ping() {
        let unanswered = this.sockets.length;
        const answered = new Promise((resolve) => (this.ponged = () => --unanswered === 0 && resolve()));
        for (const socket of this.sockets) socket.send("ping");
        await answered;
        await this.quiet();
    }

    /** Until nothing has come for a second: what is told of arrivals is over. */
    async quiet() {
        for (let before = -1; before !== this.total; ) {
            before = this.total;
            await new Promise((resolve) => setTimeout(resolve, 1000));
        }
    }

    /** Runs `send`, and resolves with the number of frames when every socket has got that many messages. */
    async receives(messages, send) {
        this.bytes.fill(0);
        Object.assign(this, { total: 0, frames: 0, messages: 0 });
        const arrived = new Promise((resolve) => (this.done = resolve));
        this.arrived = () => this.messages === messages && this.total === this.bytes[0] * this.bytes.length;
        await send(messages);
        await arrived;
        this.arrived = undefined;
        if (this.bytes.some((bytes) => bytes !== this.bytes[0])) throw new Error("some sockets missed something");
        return this.frames;
    }
}
