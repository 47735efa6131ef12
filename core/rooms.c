/* core/rooms.c - a program of one room and all below it, which links only if no call points up.
 *
 * Job      Built once for each room (core/meson.build; expr/ is one of them): the whole of each
 *          library goes in, and every name must be found. core_hooks is the one thing that stands
 *          above core/ and is known below (core/memory/hooks.h).
 * Tests    tests/house/rooms_test.sh
 */
struct core_hooks;
extern const struct core_hooks *const core_hooks;
const struct core_hooks *const core_hooks = 0;

int main(void) {
    return 0;
}
