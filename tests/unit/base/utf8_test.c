/* tests/unit/base/utf8_test.c - what is UTF-8.
 *
 * Goal     core/base/utf8.c accepts every legal text and says where an illegal one stops being
 *          legal.
 * Method   Tables of both, at every distance from the eight bytes that are looked at together.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "core/base/utf8.h"
#include "tests/support/slow.h"

TestSuite(utf8, .timeout = 20 * SLOW_FACTOR);

Test(utf8, knows_utf8) {
    static const char *const good[] = {"",
                                       "plain ASCII of more than eight bytes",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "1234567\xc3\xa9",
                                       "12345678\xe2\x82\xacxyz 1234"};
    static const struct {
        const char *text;
        size_t position;
    } bad[] = {
        {"\x80", 0},
        {"\xbf", 0},
        {"\xc0\x80", 0},
        {"\xc1\xbf", 0},
        {"\xc2", 0},
        {"\xc2\x41", 0},
        {"\xe0\x80\x80", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xe2\x82", 0},
        {"\xe2\x82\x41", 0},
        {"\xed\xa0\x80", 0},
        {"\xed\xbf\xbf", 0},
        {"\xf0\x80\x80\x80", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf0\x9f\x98", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"12345678\xff", 8},
        {"1234567\xc3", 7},
        {"\xc3\xa9\xa9", 2},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert_eq(utf8_valid_bytes(good[i], strlen(good[i])), strlen(good[i]), "row %zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(utf8_valid_bytes(bad[i].text, strlen(bad[i].text)), bad[i].position, "row %zu", i);
    cr_assert_eq(utf8_valid_bytes("\xe2\x82\xac", 2), 0, "a character cut off");
    cr_assert_eq(utf8_shown_bytes("a\nb", 3), 1);
    cr_assert_eq(utf8_shown_bytes("a\xff", 2), 1);
    cr_assert_eq(utf8_shown_bytes("12345678901234567890123456789012345678901234567\xc3\xa9", 49), 47);
}
