#include <larder.h>
#include <stdio.h>
int main(int c, char **v) {
    struct larder_key k = {larder_str("a")};
    int64_t x;
    (void)v;
    if (c == 1)
        printf("inc %d\n", larder_increment(0, &k, "n", 1, &x));
    else if (c == 2)
        printf("put_if(NULL item) %d\n", larder_put_if(0, 0, 0, 0));
    else
        printf("del %d\n", larder_delete(0, &k, 0));
    return 0;
}
