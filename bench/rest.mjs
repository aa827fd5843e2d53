// Concurrent senders over HTTP, each with a connection that is kept alive and one request under way.

import crypto from "node:crypto";
import { Pool } from "undici";

export const CONTENT = "Has anyone seen the keys of the workshop? They were on the table.";

export class Senders {
    /** `tokens`: one a sender. */
    constructor(origin, path, tokens) {
        this.pool = new Pool(origin, { connections: tokens.length, pipelining: 1 });
        this.path = path;
        this.headers = tokens.map((token) => ({ "Content-Type": "application/json", Authorization: `Bearer ${token}` }));
    }

    /** Sends that many messages, and resolves when all are answered. */
    async send(messages) {
        let left = messages;
        const sender = async (headers) => {
            while (left-- > 0) {
                const body = JSON.stringify({ content: CONTENT, nonce: crypto.randomUUID() });
                const answer = await this.pool.request({ method: "POST", path: this.path, headers, body });
                if (answer.statusCode !== 201) {
                    throw new Error(`${this.path}: ${answer.statusCode} ${await answer.body.text()}`);
                }
                await answer.body.dump();
            }
        };
        await Promise.all(this.headers.map(sender));
    }
}
