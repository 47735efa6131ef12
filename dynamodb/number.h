/* dynamodb/number.h - what the service says of a text that is no number of it. */
#ifndef LARDER_DYNAMODB_NUMBER_H
#define LARDER_DYNAMODB_NUMBER_H

#include "dynamodb/document.h"

/* 0: it is a number. 1: it is none, and `message` says why. */
int number_problem(struct text text, char *message, size_t bytes);

#endif
