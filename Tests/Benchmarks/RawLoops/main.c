#include "raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Prints what a loop took, in seconds.
int main(int count, char **arguments) {
    if (count > 4) {
        const char *loop = arguments[1], *place = arguments[2];
        long messages = atol(arguments[3]);
        double seconds = -1;
        if (messages < 1) {
            fprintf(stderr, "RawLoops: COUNT must be 1 or more\n");
            return 2;
        }
        if (strcmp(loop, "consume") == 0) {
            seconds = raw_consume_loop(place, messages, count - 4, arguments + 4);
        } else if (strcmp(loop, "publish") == 0 && count > 5) {
            seconds = raw_publish_loop(place, messages, (size_t)atol(arguments[4]), count - 5, arguments + 5);
        } else if (strcmp(loop, "roundtrip") == 0 && count == 6) {
            seconds = raw_round_trips(place, messages, (size_t)atol(arguments[4]), arguments[5]);
        } else if (strcmp(loop, "sqlite") == 0 && count == 6) {
            seconds = raw_sqlite(place, messages, (size_t)atol(arguments[4]), atol(arguments[5]));
        }
        if (seconds >= 0) {
            printf("%.9f\n", seconds);
            return 0;
        }
    }
    fprintf(stderr, "usage: RawLoops publish URL COUNT SIZE QUEUE...\n"
                    "       RawLoops consume URL COUNT QUEUE...\n"
                    "       RawLoops roundtrip URL COUNT SIZE QUEUE\n"
                    "       RawLoops sqlite FILE COUNT SIZE ROWS_OF_A_TRANSACTION\n");
    return 2;
}
