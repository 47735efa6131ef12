// tests/clients/differential/known.js - where Larder and dynalite 4.0.0 differ, and who is right.
//
// wordings: texts that mean the same, brought into one form before they are compared.
// known: a difference that is one of these rows passes. `right` is the side that does as the
//   service does, `by` who says so: a page of the developer guide or the API reference, or words
//   that a suite has checked on the service. Rows without an answer of Larder's in `ours` are
//   gaps of the peer: what it does not know.
// If an answer of Larder's is to change, its row goes.
'use strict';

const sorted = (list, mark) => list.split(mark).map(word => word.trim()).sort().join(mark);

exports.wordings = [
  // The order of a hash table.
  [/(unused in expressions: keys: \{)([^}]*)/, (_, start, list) => start + sorted(list, ',')],
  [/(valid types: \{)([^}]*)/, (_, start, list) => start + sorted(list, ',')],
  // dynalite says what its parser expected, the service the token and what is near it.
  [/(Syntax error; ).*/s, '$1..'],
  // Several constraints: in any order.
  [/^(\d+ validation errors detected: )(.*)$/s, (_, start, list) => start + list.split('; ')
    .map(each => each.replace(/Value (?:'.*'|null) at '(\w)/s, (__, first) => `Value at '${first.toUpperCase()}`)).sort().join('; ')],
  // The service's words since June 2026: the member begins with a capital, its value is not told.
  [/Value (?:'.*'|null) at '(\w)([^']*)' failed/s, (_, first, rest) => `Value at '${first.toUpperCase()}${rest}' failed`],
  // PutItem, UpdateItem and DeleteItem, since then.
  [/^1 validation error detected: (?=The parameter cannot|Number overflow|Number underflow|Attempting to store|One or more parameter values|Supplied AttributeValue|Input collection)/, ''],
  // dynalite writes an operand as JavaScript does.
  [/AttributeValue: \{[^}]*\}*/g, 'AttributeValue: ..'],
];

const message = side => side.answer.message ?? side.answer.Message ?? '';
const says = (side, pattern) => pattern.test(message(side));
const done = side => side.status === 200;
const failed = side => side.error === 'ConditionalCheckFailedException';
const operand = /Incorrect operand type for operator or function; operator or function: ([<>]=?|BETWEEN|contains|begins_with|size|IN),/;

exports.known = [
  // ---- Gaps of dynalite ----
  {what: 'dynalite throws on an operand that is missing', right: 'Larder', by: 'developer guide, "Comparison operator and function reference"',
   is: ({theirs}) => theirs.error === 'crash'},
  {what: 'dynalite has no such operation', right: 'Larder', by: 'API reference',
   is: ({theirs}) => theirs.error === 'UnknownOperationException'},
  {what: 'an operand of a type that the operator does not take is refused before anything is read', right: 'Larder',
   by: 'service: "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"; tests/dynamodb/dynamodb_errors_test.c',
   is: ({ours}) => says(ours, operand)},
  {what: 'a comparison with an operand that is missing is not true', right: 'Larder', by: 'developer guide, "Comparison operator and function reference"',
   is: ({request, ours, theirs}) => [request.FilterExpression, request.ConditionExpression].some(text => /[<>]|BETWEEN/.test(text)) &&
     (done(ours) && done(theirs) && ours.answer.Count < theirs.answer.Count || failed(ours) && done(theirs) || failed(ours) && says(theirs, /./))},
  {what: 'ReturnConsumedCapacity counts indexes, each by itself', right: 'Larder', by: 'API reference, ConsumedCapacity; developer guide, "Read and write operations: Local/Global secondary indexes"',
   is: ({request, ours, theirs, alike}) => done(ours) && done(theirs) && request.ReturnConsumedCapacity && alike({...ours.answer, ConsumedCapacity: 0}, {...theirs.answer, ConsumedCapacity: 0})},
  {what: 'the item collection of a table with a local index', right: 'Larder', by: 'API reference, PutItem, ReturnItemCollectionMetrics',
   is: ({request, ours, theirs}) => request.ReturnItemCollectionMetrics === 'SIZE' && done(ours) && done(theirs) && ours.answer.ItemCollectionMetrics && !theirs.answer.ItemCollectionMetrics},
  {what: 'a function of conditions in an update', right: 'Larder', by: 'service: "The function is not allowed in an update expression; function: size"',
   is: ({ours, theirs}) => says(ours, /The function is not allowed in an update expression; function: /) && says(theirs, /Invalid function name; function: /)},
  {what: 'the first operand is one of the others, for BETWEEN, IN and if_not_exists too', right: 'Larder', by: 'as of the operators that dynalite checks; not seen on the service',
   is: ({ours}) => says(ours, /The first operand must be distinct from the remaining operands for this operator or function; operator: (BETWEEN|IN|if_not_exists|list_append),/)},
  {what: 'validation ends at the first constraint that is not met', right: 'Larder', by: 'service, since June 2026',
   is: ({ours, theirs}) => says(ours, /^1 validation error detected: Value/) && says(theirs, /^\d+ validation errors detected/)},
  {what: 'Expected: attributes that are named twice over several ways of an Exists', right: 'Larder', by: 'developer guide, "Legacy conditional parameters: Expected"',
   is: ({request, ours, theirs}) => request.Expected && Object.values(request.Expected).some(each => each.Exists && each.Value) && failed(ours) && done(theirs)},
  {what: 'ReturnValues of PutItem and DeleteItem: NONE or ALL_OLD', right: 'Larder', by: 'API reference, DeleteItem, ReturnValues',
   is: ({operation, ours}) => /Put|Delete/.test(operation) && says(ours, /^ReturnValues can only be ALL_OLD or NONE$/)},
  {what: 'Select beside a projection, or without one', right: 'Larder', by: 'API reference, Query and Scan, Select',
   is: ({ours}) => says(ours, /^(1 validation error detected: )?(Cannot specify the (ProjectionExpression|AttributesToGet) when choosing to get|Must specify the AttributesToGet or ProjectionExpression when)/)},
  {what: 'ALL_PROJECTED_ATTRIBUTES without an index is refused before expressions are read', right: 'Larder', by: 'API reference, Query, Select',
   is: ({ours}) => says(ours, /^ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName$/)},
  {what: 'Segment without TotalSegments', right: 'Larder', by: 'API reference, Scan, TotalSegments',
   is: ({ours}) => says(ours, /^The (TotalSegments|Segment) parameter is required but was not present/)},
  {what: 'a filter of a local index sees attributes that it does not project, too', right: 'Larder', by: 'developer guide, "Local secondary indexes: Attribute projections": they are fetched',
   is: ({operation, request, ours, theirs}) => /Query|Scan/.test(operation) && request.IndexName === 'byL' && (request.QueryFilter || request.ScanFilter || request.FilterExpression) &&
     done(ours) && done(theirs) && ours.answer.ScannedCount === theirs.answer.ScannedCount},
  {what: 'a local index gives attributes that it does not project from the table', right: 'Larder', by: 'developer guide, "Local secondary indexes: Attribute projections"',
   is: ({operation, request, ours, theirs}) => /Query|Scan/.test(operation) && request.IndexName === 'byL' && done(ours) && done(theirs) && ours.answer.Count >= theirs.answer.Count},
  {what: 'ADD and DELETE: the error names what may stand there', right: 'Larder', by: 'service: "operator: DELETE, operand type: LIST, typeSet: ALLOWED_FOR_DELETE_OPERAND"',
   is: ({ours, theirs}) => says(ours, /, typeSet: ALLOWED_FOR_(ADD|DELETE)_OPERAND$/) && says(theirs, /Incorrect operand type/)},
  {what: 'UPDATED_OLD and UPDATED_NEW of nothing: no Attributes', right: 'Larder', by: 'API reference, UpdateItem, ReturnValues',
   is: ({operation, ours, theirs}) => operation === 'UpdateItem' && done(ours) && done(theirs) && !ours.answer.Attributes && JSON.stringify(theirs.answer.Attributes) === '{}'},
  {what: 'ConditionalOperator OR: one that is met is enough', right: 'Larder', by: 'developer guide, "Legacy conditional parameters: ConditionalOperator"',
   is: ({request, ours, theirs}) => request.ConditionalOperator === 'OR' && done(ours) && (failed(theirs) || done(theirs) && ours.answer.Count > theirs.answer.Count)},
  {what: 'ConditionalOperator without two conditions', right: 'Larder', by: 'ExtendDB tests, run against the service',
   is: ({request, ours}) => request.ConditionalOperator && says(ours, /^ConditionalOperator can(not| only) be used w/)},
  {what: 'two members of a wrong type: the first one in the text is named', right: 'Larder', by: 'as a reader of a stream does; dynalite looks in an order of its own',
   is: ({ours, theirs}) => ours.error === 'SerializationException' && theirs.error === 'SerializationException'},
  {what: 'a second condition on a key of KeyConditionExpression, before values that are not used', right: 'Larder', by: 'dynamodb-conformance: "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key"',
   is: ({ours, theirs}) => says(ours, /^Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key$/) && says(theirs, /unused in expressions/)},
  {what: 'messages of the service that dynalite has not: a table that exists, an empty key', right: 'Larder', by: 'service, June 2026',
   is: ({ours, theirs}) => ours.error === 'ResourceInUseException' && ours.error === theirs.error ||
     says(ours, /^One or more parameter values are not valid\. The AttributeValue for a key attribute cannot contain an empty/) && says(theirs, /The AttributeValue for a key attribute cannot contain an empty/)},
  {what: 'an empty key: of a query, and of an index where its other key is missing', right: 'Larder', by: 'service: "The AttributeValue for a key attribute cannot contain an empty string value. Key: pk", and ".. IndexName: byG, IndexKey: g"',
   is: ({ours, theirs}) => done(theirs) && says(ours, /^One or more parameter values are not valid\. .*The AttributeValue for a key attribute cannot contain an empty (string|binary) value\. (Key|IndexName): /)},
  {what: 'a key of an index that an update makes of another attribute, of a wrong type', right: 'Larder', by: 'service: "The update expression attempted to update the secondary index key to unsupported type"',
   is: ({ours}) => says(ours, /^The update expression attempted to update the secondary index key to unsupported type$/)},
  {what: 'attribute_type() of a BOOL that is false, which dynalite takes for nothing', right: 'Larder', by: 'developer guide, "Comparison operator and function reference"',
   is: ({request, ours, theirs}) => request.ConditionExpression?.includes('attribute_type') && (done(ours) && failed(theirs) || failed(ours) && done(theirs))},
  {what: 'CONTAINS of an empty binary in a list', right: 'Larder', by: 'API reference, Condition, ComparisonOperator CONTAINS',
   is: ({request, ours, theirs}) => /"B":""/.test(JSON.stringify(request)) && /CONTAINS/.test(JSON.stringify(request.ScanFilter ?? request.QueryFilter ?? request.Expected ?? '')) &&
     (done(ours) || failed(ours)) && (done(theirs) || failed(theirs))},
  {what: 'numbers that are equal, written in two ways', right: 'Larder', by: 'developer guide, "Data types: Number": they are numbers, not texts',
   is: ({request, ours, theirs}) => request.Expected && /"N":"[^"]*([eE]|\.\d*0"|^-?0)/.test(JSON.stringify(request.Expected)) && (done(ours) && failed(theirs) || failed(ours) && done(theirs))},
  {what: 'values of Expected are checked, whatever the operator', right: 'Larder', by: 'API reference, ExpectedAttributeValue, AttributeValueList: each is an AttributeValue',
   is: ({request, ours, theirs}) => request.Expected && (done(theirs) || failed(theirs)) && says(ours, /^(1 validation error detected: )?(The parameter cannot be converted|Supplied AttributeValue|Number|Attempting to store|One or more parameter values|An? \w+ set|Input collection)/)},
  {what: 'key types and projections of a local index are checked as those of a global one', right: 'Larder', by: 'API reference, CreateTable: KeySchemaElement, Projection',
   is: ({operation, request, ours}) => operation === 'CreateTable' && request.LocalSecondaryIndexes &&
     says(ours, /^(1 validation error detected: Value .*at '[Ll]ocalSecondaryIndexes|One or more parameter values were invalid: ProjectionType is INCLUDE)/)},
  {what: 'conditions on what is missing, and on values alone', right: 'Larder', by: 'developer guide, "Comparison operator and function reference"; a missing operand makes = and IN false, <> true',
   is: ({request, ours, theirs}) => request.ConditionExpression && /[<>=]|IN|BETWEEN/.test(request.ConditionExpression) && (done(ours) && failed(theirs) || failed(ours) && done(theirs)) ||
     request.FilterExpression && done(ours) && done(theirs) && ours.answer.ScannedCount === theirs.answer.ScannedCount && ours.answer.Count !== theirs.answer.Count},

  // ---- Not decided: no page and no suite says which ----
  {what: 'REMOVE or DELETE alone where there is no item: Larder makes none', right: 'open',
   is: ({operation, ours, theirs}) => operation === 'UpdateItem' && done(ours) && done(theirs) && !ours.answer.Attributes && theirs.answer.Attributes !== undefined},
  {what: 'no attribute of an item is projected: Larder gives no Item', right: 'open',
   is: ({operation, ours, theirs}) => /GetItem|TransactGet/.test(operation) && done(ours) && done(theirs) && ours.answer.Item === undefined && JSON.stringify(theirs.answer.Item) === '{}'},
  {what: 'REMOVE, ADD or DELETE of a path whose parent is missing: Larder does nothing', right: 'open',
   is: ({request, ours, theirs}) => /REMOVE|ADD|DELETE/.test(request.UpdateExpression) && done(ours) && says(theirs, /^The document path provided in the update expression is invalid for update$/)},
  {what: 'AttributeUpdates: ADD of a list, which dynalite appends', right: 'open',
   is: ({ours, theirs}) => says(ours, /ADD action is not supported for the type L$/) && (done(theirs) || failed(theirs))},
  {what: 'if_not_exists() of a key of an item that is made', right: 'open',
   is: ({operation, request, ours, theirs}) => operation === 'UpdateItem' && /\b[ps]k\b/.test(request.UpdateExpression) && says(ours, /refers to an attribute that does not exist/) && done(theirs)},
  {what: 'if_not_exists() with a value that is none of an index key, and that is not put', right: 'open',
   is: ({request, ours, theirs}) => /if_not_exists/.test(request.UpdateExpression) && says(theirs, /Type mismatch for Index Key/) && done(ours)},

  {what: 'a condition on the table is judged before a value is put where an index wants another type', right: 'Larder', by: 'developer guide, "Condition expressions": the condition decides whether anything is done',
   is: ({ours, theirs}) => (failed(ours) || says(ours, /^(An operand in the update expression|The provided expression refers to)/)) && says(theirs, /Type mismatch for Index Key/)},
];

/** The beginnings of messages that both have, each seen for a request in which it is the only fault.
 * Where a request has two faults, the two sides may name another one first. */
exports.agreed = [
  '\\d+ validation errors? detected', 'ReadCapacityUnits and WriteCapacityUnits', 'Value provided in Expression', 'Value must be provided when Exists', 'Value or AttributeValueList must be used', 'Type mismatch', 'The update expression attempted to update', 'The provided starting key', 'The query can return at most one row', 'The BETWEEN condition was provided',
  'The provided key element does not match', 'The provided expression refers to an attribute', 'The parameter', 'The document path provided', 'TableName must be',
  'Supplied AttributeValue', 'ReturnValues can only be', 'Query condition missed', 'Provided list of item keys', 'Number', 'Missing the key', 'Key attributes must be scalars',
  'Syntax error', 'Two document paths', 'Incorrect operand type', 'An expression attribute', 'Invalid number of argument', 'Invalid function name', 'Invalid attribute type name',
  'The first operand must be distinct', 'Attribute name is a reserved keyword', 'The BETWEEN operator requires', 'The function is not allowed', 'Input collection', 'Redundant',
  'ExpressionAttribute', 'Duplicate value in attribute name', 'Consistent reads are not supported', 'Condition parameter type', 'ComparisonOperator', 'AttributeValues inside',
  'Attempting to store', 'An string set', 'An number set', 'An operand in the update expression', 'The table does not have the specified index', 'Filter Expression can only',
  'Null attribute value types', 'KeyConditionExpressions must only', 'Multiple attribute names used', 'Member must', 'Cannot do operations on a non-existent table', 'ADD action is not',
  'One or more parameter values are not valid', 'A value specified for a secondary index key', 'The AttributeValue for a key attribute', 'The value', 'Can not use both', 'QueryFilter can only',
  'Operator or function', 'Item size', 'Invalid operator used', 'Unsupported operator on KeyCondition', 'The actual key', 'Attribute', 'Operands', 'Invalid condition in',
].map(start => new RegExp(`^(One or more parameter values were invalid: |ExpressionAttributeValues contains invalid value: |Invalid \\w+Expression: |Invalid condition in \\w+: )*${start}`));
