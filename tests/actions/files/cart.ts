import { EventEmitter } from "events";
import type { Money, Product } from "./catalogue";

export interface Line {
  readonly product: Product;
  quantity: number;
}

type Listener<T> = (value: T, previous?: T) => void;

/** Rounds to whole cents, half to even as the bank does. */
export function round(amount: number): number {
  const cents = amount * 100;
  const floor = Math.floor(cents);
  if (cents - floor === 0.5) {
    return (floor % 2 === 0 ? floor : floor + 1) / 100;
  }
  return Math.round(cents) / 100;
}

export function groupBy<T, K extends string>(items: readonly T[], key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const name = key(item);
    const group = groups.get(name) ?? [];
    group.push(item);
    groups.set(name, group);
  }
  return groups;
}

const total = (lines: Line[]): number => {
  let sum = 0;
  for (const line of lines) {
    sum += line.product.price * line.quantity;
  }
  return round(sum);
};

@Injectable({ providedIn: "root" })
export class Cart extends EventEmitter {
  private lines: Line[] = [];

  constructor(private readonly currency: Money["currency"]) {
    super();
  }

  /**
   * Puts a product into the cart.
   */
  @Logged()
  add(product: Product, quantity = 1): void {
    const known = this.lines.find((line) => line.product.id === product.id);
    if (known) {
      known.quantity += quantity;
    } else {
      this.lines.push({ product, quantity });
    }
    this.emit("change", this.lines);
  }

  async checkout(send: (body: string) => Promise<Response>): Promise<boolean> {
    const body = `
<order currency="${this.currency}">
${this.lines.map((line) => `  <line id="${line.product.id}"/>`).join("\n")}
</order>
`;
    const response = await send(body);
    if (!response.ok) {
      throw new Error(`The shop answered ${response.status}`);
    }
    this.lines = [];
    return true;
  }

  get empty(): boolean {
    return this.lines.length === 0;
  }
}

export default function describe(cart: Cart, listener: Listener<boolean>) {
  listener(cart.empty);
  return cart.empty ? "nothing" : "something";
}
