/* dynamodb/own_names.h - for the copy of expr/ in this library: other names for larder.h's.
 *
 * Job      expr/, with what it needs of core/item and core/base, is linked into this library. Some
 *          of that defines functions of larder.h. Under their own names they would take the place
 *          of liblarder's, with builders and failures of another version. dynamodb/rename_objects
 *          gives the names to liblarder's objects. For optimization at link time the copy is
 *          compiled (dynamodb/meson.build), and includes this before everything else.
 * Tests    tests/dynamodb/dynamodb_errors_test.c
 */
#ifndef LARDER_DYNAMODB_OWN_NAMES_H
#define LARDER_DYNAMODB_OWN_NAMES_H

#define larder_bin own_larder_bin
#define larder_builder_add own_larder_builder_add
#define larder_builder_add_all own_larder_builder_add_all
#define larder_builder_add_b own_larder_builder_add_b
#define larder_builder_add_bool own_larder_builder_add_bool
#define larder_builder_add_int own_larder_builder_add_int
#define larder_builder_add_member own_larder_builder_add_member
#define larder_builder_add_n own_larder_builder_add_n
#define larder_builder_add_null own_larder_builder_add_null
#define larder_builder_add_s own_larder_builder_add_s
#define larder_builder_add_sn own_larder_builder_add_sn
#define larder_builder_begin own_larder_builder_begin
#define larder_builder_end own_larder_builder_end
#define larder_builder_finish own_larder_builder_finish
#define larder_builder_free own_larder_builder_free
#define larder_builder_name own_larder_builder_name
#define larder_builder_reset own_larder_builder_reset
#define larder_errno own_larder_errno
#define larder_error own_larder_error
#define larder_item_count own_larder_item_count
#define larder_item_free own_larder_item_free
#define larder_item_get own_larder_item_get
#define larder_item_getn own_larder_item_getn
#define larder_item_size own_larder_item_size
#define larder_iter_item own_larder_iter_item
#define larder_iter_next own_larder_iter_next
#define larder_iter_value own_larder_iter_value
#define larder_num own_larder_num
#define larder_page_count own_larder_page_count
#define larder_page_free own_larder_page_free
#define larder_page_is_snapshot own_larder_page_is_snapshot
#define larder_page_item own_larder_page_item
#define larder_page_matched own_larder_page_matched
#define larder_page_resume own_larder_page_resume
#define larder_page_scanned own_larder_page_scanned
#define larder_result_name own_larder_result_name
#define larder_str own_larder_str
#define larder_value_int64 own_larder_value_int64
#define larder_value_number own_larder_value_number
#define larder_version own_larder_version
#define larder_version_number own_larder_version_number

#endif
