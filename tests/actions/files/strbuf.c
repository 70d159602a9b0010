#include <stdlib.h>
#include <string.h>

#define GROW(n) ((n) * 2 + 16)

typedef struct strbuf {
    char *text;
    size_t used;
    size_t room;
} strbuf;

enum mode { READ, WRITE };

/* Makes room for at least `more` characters. */
static int
strbuf_grow(strbuf *buf, size_t more)
{
    size_t room = buf->room;
    char *text;

    while (room - buf->used < more + 1)
        room = GROW(room);
    text = realloc(buf->text, room);
    if (!text)
        return -1;
    buf->text = text;
    buf->room = room;
    return 0;
}

strbuf *strbuf_new(void)
{
    return calloc(1, sizeof(strbuf));
}

int strbuf_add(strbuf *buf, const char *text) {
    size_t length = strlen(text);

    if (strbuf_grow(buf, length) < 0)
        return -1;
    memcpy(buf->text + buf->used, text, length + 1);
    buf->used += length;
    return 0;
}

static inline char strbuf_last(const strbuf *buf)
{
    return buf->used ? buf->text[buf->used - 1] : '\0';
}

void strbuf_free(strbuf *buf)
{
    if (!buf)
        return;
    free(buf->text);
    free(buf);
}

int main(int argc, char **argv)
{
    strbuf *buf = strbuf_new();
    for (int i = 1; i < argc; i++) {
        if (i > 1)
            strbuf_add(buf, " ");
        strbuf_add(buf, argv[i]);
    }
    strbuf_free(buf);
    return 0;
}
