package org.example.ledger;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/** Entries in the order of their booking. */
public final class Ledger<E extends Comparable<E>> implements Iterable<E> {
    private final List<E> entries = new ArrayList<>();
    private int limit = 100;

    public Ledger(int limit) {
        this.limit = limit;
    }

    @Override
    public java.util.Iterator<E> iterator() {
        return entries.iterator();
    }

    /**
     * Books an entry.
     *
     * @param entry what to book
     */
    @SuppressWarnings("unchecked")
    @Deprecated
    public synchronized boolean book(E entry) throws IllegalStateException {
        if (entries.size() >= limit) {
            throw new IllegalStateException("The ledger is full");
        }
        for (E known : entries) {
            if (known.compareTo(entry) == 0) {
                return false;
            }
        }
        return entries.add(entry);
    }

    public <R> List<R> map(Function<? super E, ? extends R> change) {
        List<R> changed = new ArrayList<>();
        for (E entry : entries) {
            changed.add(change.apply(entry));
        }
        return changed;
    }

    static int checksum(byte[] bytes) {
        int sum = 0;
        for (byte b : bytes) {
            sum = (sum << 1 ^ b) & 0xffff;
        }
        return sum;
    }

    enum State {
        OPEN,
        CLOSED;

        boolean accepts() {
            return this == OPEN;
        }
    }
}
