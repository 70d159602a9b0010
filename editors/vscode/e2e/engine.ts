/** A stand-in for an engine: an OpenAI-compatible server that says what it is told. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';

interface Asked {
  readonly prompt: readonly number[];
  readonly max_tokens: number;
  readonly seed?: number;
}

export class Engine {
  /** What is completed in a buffer, and what is said in an answer. */
  suggestion = '';
  /** What else is completed, when it is asked for. */
  others: readonly string[] = [];
  answer = 'I have nothing to say.';
  /** Milliseconds between two pieces. */
  pause = 0;
  pieceLength = 8;
  /** No answer begins before this is resolved. */
  hold: Promise<void> = Promise.resolve();
  /** What it says of a question that it reads, before that. */
  progress: object | undefined;
  /** Nobody is told of a model before this is resolved. */
  loaded: Promise<void> = Promise.resolve();
  /** The bearer token that it asks for; "" for none. */
  token = '';
  /** What it is called in the list of models. */
  name = 'stand-in';
  /** The status that it refuses all with; 0 for none. */
  refuses = 0;
  /** It takes requests and says nothing, not even that it has begun. */
  hangs = false;
  asked = 0;
  /** All that it was asked, as token ids. */
  readonly prompts: (readonly number[])[] = [];
  brokenOff = 0;
  url = '';
  private readonly server = http.createServer((request, response) => {
    if (this.hangs) {
      return;
    }
    if (this.refuses) {
      response.writeHead(this.refuses, { 'Content-Type': 'application/json' }).end(JSON.stringify({ error: { message: http.STATUS_CODES[this.refuses] } }));
      return;
    }
    if (this.token && request.headers.authorization !== `Bearer ${this.token}`) {
      response.writeHead(401).end('{}');
      return;
    }
    if (request.method === 'GET') {
      response.setHeader('Content-Type', 'application/json');
      void this.loaded.then(() => response.end(JSON.stringify({ data: [{ id: this.name, max_model_len: 16384 }] })));
      return;
    }
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => void this.complete(JSON.parse(body) as Asked, response));
  });

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async complete({ prompt, max_tokens, seed }: Asked, response: http.ServerResponse): Promise<void> {
    const chat = max_tokens > 64;
    const text = chat ? this.answer : (this.others[seed ?? -1] ?? this.suggestion);
    this.asked += chat ? 1 : 0;
    this.prompts.push(prompt);
    let gone = false;
    response.on('close', () => {
      gone = !response.writableEnded;
      this.brokenOff += gone && chat ? 1 : 0;
    });
    response.writeHead(200, { 'Content-Type': 'text/event-stream', Connection: 'close' });
    response.flushHeaders();
    if (chat && this.progress) {
      response.write(`data: ${JSON.stringify({ choices: [], prompt_progress: this.progress })}\n\n`);
    }
    await this.hold;
    for (let at = 0; at < text.length && !gone; at += this.pieceLength) {
      response.write(`data: ${JSON.stringify({ choices: [{ text: text.slice(at, at + this.pieceLength) }] })}\n\n`);
      if (this.pause && chat) {
        await new Promise((resolve) => setTimeout(resolve, this.pause));
      }
    }
    response.write(`data: ${JSON.stringify({ choices: [{ text: '', finish_reason: 'stop' }], usage: { completion_tokens: Math.ceil(text.length / 4) } })}\n\n`);
    response.end('data: [DONE]\n\n');
  }
}
