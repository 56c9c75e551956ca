/* Replaces the comparisons of the C library, which return at the first difference. The program ends
 * with 97 if one of them is called with a secret: one of the byte strings that the environment
 * variable HOOKWARD_PROOF_SECRETS names in hex, separated by commas. */
#include <stdlib.h>
#include <unistd.h>

static unsigned char secrets[4][128];
static size_t lengths[4], count;

static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

__attribute__((constructor)) static void read_secrets(void) {
    const char *text = getenv("HOOKWARD_PROOF_SECRETS");
    while (text && *text && count < 4) {
        size_t n = 0;
        while (n < 128 && digit(text[0]) >= 0 && digit(text[1]) >= 0) {
            secrets[count][n++] = (unsigned char)(digit(text[0]) << 4 | digit(text[1]));
            text += 2;
        }
        lengths[count++] = n;
        if (*text != ',') break;
        text++;
    }
}

static int compare(const unsigned char *a, const unsigned char *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    return 0;
}

static int checked(const void *a, const void *b, size_t n) {
    for (size_t i = 0; i < count; i++)
        if (n > 0 && n == lengths[i] && (!compare(a, secrets[i], n) || !compare(b, secrets[i], n)))
            _exit(97);
    return compare(a, b, n);
}

int memcmp(const void *a, const void *b, size_t n) { return checked(a, b, n); }
int bcmp(const void *a, const void *b, size_t n) { return checked(a, b, n); }
