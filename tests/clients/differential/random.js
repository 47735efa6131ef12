// tests/clients/differential/random.js - random requests, valid and invalid, of every operation.
//
// Tables "Alpha" (pk S, sk N; global index "byG" on g, h; local index "byL" on l) and "Beta" (pk B).
// The keys are few, so that requests meet the same items.
'use strict';

function rng(seed) { // mulberry32
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

class Requests {
  constructor(seed) {
    this.random = rng(seed);
  }

  below(n) {
    return Math.floor(this.random() * n);
  }

  one(...choices) {
    return choices[this.below(choices.length)];
  }

  is(probability) {
    return this.random() < probability;
  }

  many(most, make) {
    return Array.from({length: this.below(most + 1)}, make);
  }

  /** Without undefined members; in one of 40, a member lost or of a wrong type. */
  finish(request) {
    const text = JSON.parse(JSON.stringify(request));
    if (this.is(0.025)) {
      const name = this.one(...Object.keys(text), 'TableName');
      if (this.is(0.5))
        delete text[name];
      else
        text[name] = this.one(1, 'x', true, [], {}, null, '');
    }
    return text;
  }

  // ---- Values ----

  number() {
    return this.one('0', '1', '2', '3', '-1', '1.50', '10', '1e3', '-0', '007', '123456789012345678901234567890', '1E-5');
  }

  badValue() {
    return this.one({N: 'abc'}, {N: ''}, {N: '1e200'}, {N: '1'.repeat(39)}, {SS: []}, {SS: ['a', 'a']}, {NS: ['1', '1.0']}, {NS: ['x']}, {},
                    {S: 'a', N: '1'}, {NULL: 'no'}, {BOOL: 'yes'}, {X: 'y'}, {S: 1}, {L: [{}]}, {M: {a: {N: 'z'}}}, {BS: ['YQ==', 'YQ==']});
  }

  value(depth = 2) {
    if (this.is(0.015))
      return this.badValue();
    switch (this.below(depth > 0 ? 11 : 8)) {
      case 0: case 1: return {N: this.number()};
      case 2: case 3: return {S: this.one('', 'a', 'b', 'ab', 'é', 'x y')};
      case 4: return {BOOL: this.is(0.5)};
      case 5: return {B: this.one('YQ==', 'YWI=', '')};
      case 6: return this.is(0.4) ? {NULL: true} : {SS: this.one(['a'], ['a', 'b'], ['c', 'd', 'e'])};
      case 7: return this.is(0.5) ? {NS: this.one(['1'], ['1', '2'], ['3', '-1'])} : {BS: ['YQ==', 'Yg==']};
      case 8: case 9: return {L: this.many(3, () => this.value(depth - 1))};
      default: return {M: Object.fromEntries(this.many(3, () => [this.one('x', 'y', 'a'), this.value(depth - 1)]))};
    }
  }

  table() {
    return this.is(0.01) ? this.one('Missing', 'x', 'a'.repeat(256), 'bad name') : this.one('Alpha', 'Alpha', 'Alpha', 'Beta');
  }

  key(table) {
    const key = table === 'Beta' ? {pk: {B: this.one('YQ==', 'Yg==', 'Yw==')}} : {pk: {S: this.one('a', 'b', 'c')}, sk: {N: this.one('1', '2', '3', '4')}};
    if (this.is(0.02))
      delete key[this.one('pk', 'sk')];
    if (this.is(0.02))
      key[this.one('pk', 'sk', 'more')] = this.one({S: ''}, {S: 'a'}, {N: '1'}, {B: ''}, {NULL: true}, this.badValue());
    return key;
  }

  item(table) {
    const item = this.key(table);
    for (const name of ['a', 'b', 'c', 'd'])
      if (this.is(0.5))
        item[name] = this.value();
    if (this.is(0.6))
      item.g = this.is(0.97) ? {S: this.one('p', 'q')} : this.value();
    if (this.is(0.6))
      item.h = this.is(0.97) ? {N: this.number()} : this.value();
    if (this.is(0.5))
      item.l = this.is(0.97) ? {S: this.one('u', 'v', 'w')} : this.value();
    return item;
  }

  // ---- Expressions: text, and the names and values that it uses ----

  begin() {
    this.names = {};
    this.values = {};
  }

  name() {
    const name = this.one('a', 'b', 'c', 'd', 'a', 'b', 'g', 'h', 'l', 'zz');
    if (this.is(0.25)) {
      const alias = `#${this.one('n', 'm', name)}`;
      this.names[alias] ??= name;
      return alias;
    }
    return this.is(0.01) ? this.one('pk', 'sk', 'size', 'name', 'values', 'a-b', '') : name;
  }

  path() {
    let path = this.name();
    while (this.is(0.25))
      path += this.is(0.5) ? `[${this.below(3)}]` : `.${this.one('x', 'y', 'a')}`;
    return path;
  }

  placeholder(value) {
    const name = `:v${this.below(40)}`;
    if (!(name in this.values))
      this.values[name] = value ?? this.value();
    return name;
  }

  operand() {
    return this.is(0.55) ? this.path() : this.is(0.12) ? `size(${this.path()})` : this.placeholder();
  }

  condition(depth = 2) {
    if (depth > 0 && this.is(0.35)) {
      const left = this.condition(depth - 1), right = this.condition(depth - 1);
      return this.one(`${left} AND ${right}`, `${left} OR ${right}`, `NOT ${left}`, `(${left})`, `(${left} or ${right})`);
    }
    switch (this.below(9)) {
      case 0: return `attribute_exists(${this.path()})`;
      case 1: return `attribute_not_exists(${this.path()})`;
      case 2: return `attribute_type(${this.path()}, ${this.placeholder({S: this.one('S', 'N', 'L', 'M', 'SS', 'NULL', 'BOOL', 'B', 'Q')})})`;
      case 3: return `begins_with(${this.path()}, ${this.placeholder(this.is(0.8) ? {S: this.one('', 'a', 'é')} : undefined)})`;
      case 4: return `contains(${this.path()}, ${this.operand()})`;
      case 5: return `${this.operand()} BETWEEN ${this.operand()} AND ${this.operand()}`;
      case 6: return `${this.operand()} IN (${[this.operand(), ...this.many(2, () => this.operand())].join(', ')})`;
      default: return `${this.operand()} ${this.one('=', '<>', '<', '<=', '>', '>=')} ${this.operand()}`;
    }
  }

  setValue() {
    switch (this.below(8)) {
      case 0: return `if_not_exists(${this.path()}, ${this.operand()})`;
      case 1: return `list_append(${this.operand()}, ${this.placeholder(this.is(0.8) ? {L: [this.value(1)]} : undefined)})`;
      case 2: return `${this.path()} ${this.one('+', '-')} ${this.placeholder({N: this.number()})}`;
      case 3: return `if_not_exists(${this.path()}, ${this.placeholder({N: '0'})}) + ${this.placeholder({N: '1'})}`;
      case 4: return this.path();
      default: return this.placeholder();
    }
  }

  update() {
    const clauses = [];
    const list = make => [make(), ...this.many(1, make)].join(', ');
    if (this.is(0.7))
      clauses.push(`SET ${list(() => `${this.path()} = ${this.setValue()}`)}`);
    if (this.is(0.25))
      clauses.push(`REMOVE ${list(() => this.path())}`);
    if (this.is(0.25))
      clauses.push(`ADD ${list(() => `${this.path()} ${this.placeholder(this.one({N: '1'}, {SS: ['a', 'z']}, {NS: ['1', '9']}, undefined))}`)}`);
    if (this.is(0.15))
      clauses.push(`DELETE ${list(() => `${this.path()} ${this.placeholder(this.one({SS: ['a']}, {NS: ['1']}, undefined))}`)}`);
    return clauses.join(' ') || 'REMOVE zz';
  }

  /** In one of 40, a character lost or another word put in. */
  spoil(text) {
    if (!this.is(0.025))
      return text;
    const at = this.below(text.length + 1);
    return this.is(0.5) ? text.slice(0, at) + text.slice(at + 1) : text.slice(0, at) + this.one(' AND ', '(', ')', ',', ' SET ', '%', ' = ', '.', ':', '#') + text.slice(at);
  }

  projection() {
    return this.spoil([this.path(), ...this.many(2, () => this.path())].join(', '));
  }

  /** Names and values of the expressions that were made since begin(). */
  used() {
    if (this.is(0.01))
      this.names['#unused'] = 'q';
    if (this.is(0.01))
      this.values[':unused'] = {S: 'q'};
    const some = object => Object.keys(object).length ? object : undefined;
    return {ExpressionAttributeNames: some(this.names), ExpressionAttributeValues: some(this.values)};
  }

  maybe(probability, make) {
    return this.is(probability) ? make() : undefined;
  }

  capacity() {
    return this.maybe(0.2, () => this.one('TOTAL', 'INDEXES', 'NONE', 'SOME'));
  }

  // ---- Older parameters ----

  comparison(older) {
    const count = {NULL: 0, NOT_NULL: 0, BETWEEN: 2, IN: 2};
    const operator = this.is(0.02) ? 'XX' : this.one(...older);
    const wanted = this.is(0.04) ? this.below(3) : count[operator] ?? 1;
    return {ComparisonOperator: operator, AttributeValueList: wanted ? Array.from({length: wanted}, () => this.value(1)) : undefined};
  }

  filters() {
    const all = ['EQ', 'NE', 'LT', 'LE', 'GT', 'GE', 'NULL', 'NOT_NULL', 'CONTAINS', 'NOT_CONTAINS', 'BEGINS_WITH', 'IN', 'BETWEEN'];
    return Object.fromEntries([0, ...this.many(1, () => 1)].map(() => [this.one('a', 'b', 'c', 'g'), this.comparison(all)]));
  }

  expected() {
    return Object.fromEntries([0, ...this.many(1, () => 1)].map(() => [this.one('a', 'b', 'c', 'pk'), this.one(
      {Exists: false}, {Value: this.value(1)}, {Exists: true, Value: this.value(1)}, this.comparison(['EQ', 'NE', 'LT', 'NULL', 'NOT_NULL', 'CONTAINS']), {Exists: true})]));
  }

  attributeUpdates() {
    return Object.fromEntries([0, ...this.many(2, () => 1)].map(() => [this.one('a', 'b', 'c', 'd'), this.one(
      {Value: this.value(1)}, {Action: 'PUT', Value: this.value(1)}, {Action: 'ADD', Value: this.one({N: '2'}, {SS: ['k']}, this.value(1))}, {Action: 'DELETE'},
      {Action: 'DELETE', Value: {SS: ['a']}})]));
  }

  // ---- Operations ----

  write(request, returned) {
    const older = this.is(0.12);
    this.begin();
    Object.assign(request, {
      Expected: older ? this.maybe(0.7, () => this.expected()) : undefined,
      ConditionalOperator: older ? this.maybe(0.2, () => this.one('AND', 'OR')) : undefined,
      ConditionExpression: older ? undefined : this.maybe(0.4, () => this.spoil(this.condition())),
      ReturnValues: this.maybe(0.5, () => this.one(...returned)),
      ReturnConsumedCapacity: this.capacity(),
      ReturnItemCollectionMetrics: this.maybe(0.05, () => this.one('SIZE', 'NONE'))});
    return older;
  }

  PutItem() {
    const TableName = this.table(), request = {TableName, Item: this.item(TableName)};
    this.write(request, ['NONE', 'ALL_OLD', 'ALL_OLD', 'ALL_OLD', 'ALL_NEW', 'x']);
    return {...request, ...this.used()};
  }

  DeleteItem() {
    const TableName = this.table(), request = {TableName, Key: this.key(TableName)};
    this.write(request, ['NONE', 'ALL_OLD', 'ALL_OLD', 'ALL_OLD', 'UPDATED_NEW']);
    return {...request, ...this.used()};
  }

  UpdateItem() {
    const TableName = this.table(), request = {TableName, Key: this.key(TableName)};
    if (this.write(request, ['NONE', 'ALL_OLD', 'ALL_NEW', 'ALL_NEW', 'UPDATED_OLD', 'UPDATED_NEW']))
      request.AttributeUpdates = this.attributeUpdates();
    else
      request.UpdateExpression = this.maybe(0.97, () => this.spoil(this.update()));
    return {...request, ...this.used()};
  }

  read() {
    this.begin();
    const older = this.is(0.08);
    return {AttributesToGet: older ? [this.one('a', 'pk'), ...this.many(2, () => this.one('b', 'c', 'd'))] : undefined,
            ProjectionExpression: older ? undefined : this.maybe(0.3, () => this.projection())};
  }

  GetItem() {
    const TableName = this.table();
    return {TableName, Key: this.key(TableName), ...this.read(), ConsistentRead: this.maybe(0.3, () => this.is(0.5)),
            ReturnConsumedCapacity: this.capacity(), ...this.used(), ExpressionAttributeValues: undefined};
  }

  BatchGetItem() {
    const tables = this.is(0.2) ? ['Alpha', 'Beta'] : [this.table()];
    return {RequestItems: Object.fromEntries(tables.map(table => {
      const Keys = this.many(4, () => this.key(table)), read = this.read(), {ExpressionAttributeNames} = this.used();
      return [table, {Keys, ...read, ExpressionAttributeNames, ConsistentRead: this.maybe(0.2, () => true)}];
    })), ReturnConsumedCapacity: this.capacity()};
  }

  BatchWriteItem() {
    const tables = this.is(0.2) ? ['Alpha', 'Beta'] : [this.table()];
    return {RequestItems: Object.fromEntries(tables.map(table => [table, this.many(4, () => this.is(0.7) ?
      {PutRequest: {Item: this.item(table)}} : this.is(0.97) ? {DeleteRequest: {Key: this.key(table)}} : {})])), ReturnConsumedCapacity: this.capacity()};
  }

  keyCondition(index) {
    const [hash, sort] = index === 'byG' ? ['g', 'h'] : index === 'byL' ? ['pk', 'l'] : ['pk', 'sk'];
    const value = {pk: {S: this.one('a', 'b', 'c')}, sk: {N: this.one('1', '2', '3')}, g: {S: this.one('p', 'q')}, h: {N: this.number()}, l: {S: this.one('u', 'v')}};
    const part = [`${hash} = ${this.placeholder(this.is(0.98) ? value[hash] : this.value())}`];
    const again = () => this.placeholder(this.is(0.97) ? value[sort] : this.value());
    if (this.is(0.6))
      part.push(this.one(`${sort} ${this.one('=', '<', '<=', '>', '>=')} ${again()}`, `${sort} BETWEEN ${again()} AND ${again()}`, `begins_with(${sort}, ${again()})`));
    if (this.is(0.02))
      part.push(`${sort} > ${again()}`);
    return this.spoil((this.is(0.9) ? part : part.reverse()).join(' AND '));
  }

  Query() {
    const TableName = this.is(0.97) ? 'Alpha' : this.table(), IndexName = this.maybe(0.4, () => this.one('byG', 'byL', 'byG', 'byL', this.is(0.9) ? 'byG' : 'none'));
    const read = this.read();
    let query;
    if (read.AttributesToGet || this.is(0.08))
      query = {KeyConditions: {pk: {ComparisonOperator: 'EQ', AttributeValueList: [{S: 'a'}]}, ...this.maybe(0.5, () => ({sk: this.comparison(['EQ', 'LT', 'LE', 'GT', 'GE', 'BETWEEN', 'BEGINS_WITH'])}))},
               QueryFilter: this.maybe(0.4, () => this.filters()), ConditionalOperator: this.maybe(0.1, () => 'OR'), ProjectionExpression: undefined};
    else
      query = {KeyConditionExpression: this.maybe(0.98, () => this.keyCondition(IndexName)), FilterExpression: this.maybe(0.3, () => this.spoil(this.condition()))};
    return {TableName, IndexName, ...read, ...query, ScanIndexForward: this.maybe(0.3, () => this.is(0.3)),
            Limit: IndexName ? undefined : this.maybe(0.3, () => this.one(1, 2, 3, 0, -1)), ConsistentRead: this.maybe(0.2, () => this.is(0.7)),
            Select: this.maybe(0.15, () => this.one('COUNT', 'ALL_ATTRIBUTES', 'ALL_PROJECTED_ATTRIBUTES', 'SPECIFIC_ATTRIBUTES', 'OTHER')),
            ExclusiveStartKey: IndexName ? undefined : this.maybe(0.1, () => this.key('Alpha')),
            ReturnConsumedCapacity: this.capacity(), ...this.used()};
  }

  Scan() {
    const TableName = this.table(), read = this.read(), older = read.AttributesToGet || this.is(0.08);
    return {TableName, IndexName: TableName === 'Alpha' ? this.maybe(0.25, () => this.one('byG', 'byL')) : undefined, ...read,
            ...(older ? {ScanFilter: this.maybe(0.7, () => this.filters()), ProjectionExpression: undefined} : {FilterExpression: this.maybe(0.5, () => this.spoil(this.condition()))}),
            Select: this.maybe(0.1, () => this.one('COUNT', 'ALL_ATTRIBUTES', 'SPECIFIC_ATTRIBUTES')), Limit: this.maybe(0.03, () => this.one(0, -5)),
            ...this.maybe(0.05, () => this.one({Segment: 0}, {TotalSegments: 2}, {Segment: 2, TotalSegments: 2}, {Segment: 0, TotalSegments: 1})),
            ReturnConsumedCapacity: this.capacity(), ...this.used()};
  }

  transactItem() {
    this.begin();
    const TableName = this.table(), Key = this.key(TableName);
    const condition = probability => this.maybe(probability, () => this.spoil(this.condition(1)));
    switch (this.below(4)) {
      case 0: return {Put: {TableName, Item: this.item(TableName), ConditionExpression: condition(0.4), ...this.used()}};
      case 1: return {Delete: {TableName, Key, ConditionExpression: condition(0.4), ...this.used()}};
      case 2: return {ConditionCheck: {TableName, Key, ConditionExpression: condition(0.97), ...this.used()}};
      default: return {Update: {TableName, Key, UpdateExpression: this.spoil(this.update()), ConditionExpression: condition(0.4), ...this.used()}};
    }
  }

  TransactWriteItems() {
    return {TransactItems: this.many(4, () => this.transactItem()), ReturnConsumedCapacity: this.capacity()};
  }

  TransactGetItems() {
    return {TransactItems: this.many(4, () => {
      const TableName = this.table(), Key = this.key(TableName);
      this.begin();
      return {Get: {TableName, Key, ProjectionExpression: this.maybe(0.3, () => this.projection()), ExpressionAttributeNames: this.used().ExpressionAttributeNames}};
    }), ReturnConsumedCapacity: this.capacity()};
  }

  CreateTable() {
    const types = {pk: 'S', sk: 'N', x: this.one('S', 'B', 'BOOL')};
    const schema = (...names) => names.map((AttributeName, i) => ({AttributeName, KeyType: this.is(0.96) ? (i ? 'RANGE' : 'HASH') : this.one('RANGE', 'HASH', 'KEY')}));
    const projection = () => this.one({ProjectionType: 'ALL'}, {ProjectionType: 'KEYS_ONLY'}, {ProjectionType: 'INCLUDE', NonKeyAttributes: ['a']}, {ProjectionType: 'INCLUDE'}, {});
    const names = ['pk', ...this.maybe(0.7, () => ['sk']) ?? [], ...this.maybe(0.4, () => ['x']) ?? []];
    return {TableName: this.one('New', 'Alpha', 'a', 'New'), AttributeDefinitions: names.map(AttributeName => ({AttributeName, AttributeType: types[AttributeName]})),
            KeySchema: schema(...names.slice(0, this.one(1, 2, 2))), BillingMode: this.one('PAY_PER_REQUEST', 'PAY_PER_REQUEST', 'PROVISIONED', undefined, 'FREE'),
            ProvisionedThroughput: this.maybe(0.2, () => ({ReadCapacityUnits: this.one(1, 5, 0), WriteCapacityUnits: 1})),
            GlobalSecondaryIndexes: this.maybe(0.3, () => [{IndexName: this.one('gx', 'g'), KeySchema: schema(this.one('x', 'sk')), Projection: projection()}]),
            LocalSecondaryIndexes: this.maybe(0.2, () => [{IndexName: 'local', KeySchema: schema('pk', 'x'), Projection: projection()}])};
  }

  named() {
    return {TableName: this.one('New', 'New', 'Missing', 'a', undefined, 'bad name')};
  }

  DescribeTable() {
    return this.named();
  }

  DeleteTable() {
    return this.named();
  }

  ListTables() {
    return {Limit: this.maybe(0.4, () => this.one(1, 100, 0, 101)), ExclusiveStartTableName: this.maybe(0.3, () => this.one('Alpha', 'Bet', 'a', 'bad name'))};
  }

  UpdateTimeToLive() {
    return {...this.named(), TimeToLiveSpecification: this.maybe(0.9, () => ({AttributeName: this.one('until', '', undefined), Enabled: this.one(true, false, undefined)}))};
  }

  DescribeTimeToLive() {
    return this.named();
  }

  /** Operation and request. */
  next() {
    const operation = this.one('PutItem', 'PutItem', 'PutItem', 'UpdateItem', 'UpdateItem', 'UpdateItem', 'UpdateItem', 'DeleteItem', 'GetItem', 'GetItem', 'Query', 'Query',
                               'Query', 'Query', 'Scan', 'Scan', 'BatchGetItem', 'BatchWriteItem', 'TransactWriteItems', 'TransactGetItems', this.one(
      'CreateTable', 'CreateTable', 'DescribeTable', 'DeleteTable', 'ListTables', 'UpdateTimeToLive', 'DescribeTimeToLive'));
    return {operation, request: this.finish(this[operation]())};
  }
}

module.exports = {Requests};
