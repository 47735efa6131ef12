/* core/item/item_names.c - attribute names that take one byte. See item_names.h. */
#include "core/item/item_names.h"

#include <endian.h>
#include <string.h>

/* Key names of single-table designs (DynamoDB developer guide, "Single table design"), and frequent
 * attribute names. */
const struct item_name item_names[ITEM_NAME_LISTED] = {
    {2, "ID"},          {2, "Id"},          {2, "PK"},          {2, "SK"},          {2, "id"},
    {2, "pk"},          {2, "sk"},          {3, "TTL"},         {3, "key"},         {3, "ttl"},
    {3, "url"},         {4, "Data"},        {4, "Name"},        {4, "Type"},        {4, "Year"},
    {4, "data"},        {4, "date"},        {4, "kind"},        {4, "name"},        {4, "size"},
    {4, "tags"},        {4, "text"},        {4, "type"},        {4, "user"},        {4, "year"},
    {5, "Count"},       {5, "Email"},       {5, "Items"},       {5, "Price"},       {5, "State"},
    {5, "Title"},       {5, "Value"},       {5, "count"},       {5, "email"},       {5, "items"},
    {5, "owner"},       {5, "price"},       {5, "state"},       {5, "title"},       {5, "total"},
    {5, "value"},       {6, "GSI0PK"},      {6, "GSI0SK"},      {6, "GSI1PK"},      {6, "GSI1SK"},
    {6, "GSI2PK"},      {6, "GSI2SK"},      {6, "GSI3PK"},      {6, "GSI3SK"},      {6, "GSI4PK"},
    {6, "GSI4SK"},      {6, "GSI5PK"},      {6, "GSI5SK"},      {6, "GSI6PK"},      {6, "GSI6SK"},
    {6, "GSI7PK"},      {6, "GSI7SK"},      {6, "GSI8PK"},      {6, "GSI8SK"},      {6, "GSI9PK"},
    {6, "GSI9SK"},      {6, "LSI1SK"},      {6, "LSI2SK"},      {6, "LSI3SK"},      {6, "LSI4SK"},
    {6, "LSI5SK"},      {6, "Status"},      {6, "UserId"},      {6, "active"},      {6, "amount"},
    {6, "gsi1pk"},      {6, "gsi1sk"},      {6, "gsi2pk"},      {6, "gsi2sk"},      {6, "gsi3pk"},
    {6, "gsi3sk"},      {6, "gsi4pk"},      {6, "gsi4sk"},      {6, "gsi5pk"},      {6, "gsi5sk"},
    {6, "status"},      {6, "userId"},      {7, "OrderId"},     {7, "Version"},     {7, "address"},
    {7, "orderId"},     {7, "version"},     {8, "Quantity"},    {8, "TenantId"},    {8, "quantity"},
    {8, "tenantId"},    {9, "CreatedAt"},   {9, "DeletedAt"},   {9, "ExpiresAt"},   {9, "Timestamp"},
    {9, "UpdatedAt"},   {9, "createdAt"},   {9, "deletedAt"},   {9, "expiresAt"},   {9, "timestamp"},
    {9, "updatedAt"},   {10, "CustomerId"}, {10, "EntityType"}, {10, "created_at"}, {10, "customerId"},
    {10, "entityType"}, {10, "expires_at"}, {10, "updated_at"},
};

_Static_assert(sizeof(struct item_name) == 16, "a name is two words");

/* Where the names of each length begin. */
static const uint8_t first_of[ITEM_NAME_TEXT_MAX + 2] = {0,  0,   0,   7,   11,  25,  41,  82, 87,
                                                         91, 101, 108, 108, 108, 108, 108, 108};

static inline int is_before(const struct item_name *a, const struct item_name *b) {
    uint64_t x[2], y[2];
    memcpy(x, a, sizeof x), memcpy(y, b, sizeof y);
    return x[0] != y[0] ? be64toh(x[0]) < be64toh(y[0]) : be64toh(x[1]) < be64toh(y[1]);
}

uint8_t item_name_byte(const void *name, size_t bytes) {
    struct item_name wanted = {.bytes = (uint8_t)bytes};
    if (bytes > ITEM_NAME_TEXT_MAX || first_of[bytes] == first_of[bytes + 1])
        return 0;
    uint32_t low = first_of[bytes], high = first_of[bytes + 1], end = high;
    memcpy(wanted.text, name, bytes);
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (is_before(&item_names[middle], &wanted))
            low = middle + 1;
        else
            high = middle;
    }
    int is_listed = low < end && memcmp(&item_names[low], &wanted, sizeof wanted) == 0;
    return is_listed ? (uint8_t)(ITEM_NAME_LISTED | low) : 0;
}
