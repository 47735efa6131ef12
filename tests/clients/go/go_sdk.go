// tests/clients/go/go_sdk.go - the SDK for Go v2. Closes with "N passed, N failed".
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type item = map[string]types.AttributeValue

var (
	ctx            = context.Background()
	table          = aws.String("Songs")
	passed, failed int
	client         = dynamodb.New(dynamodb.Options{
		Region:           "eu-west-2",
		Credentials:      credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
		EndpointResolver: dynamodb.EndpointResolverFromURL(os.Getenv("ENDPOINT")),
	})
)

func text(value string) types.AttributeValue   { return &types.AttributeValueMemberS{Value: value} }
func number(value string) types.AttributeValue { return &types.AttributeValueMemberN{Value: value} }
func song(artist, title string) item           { return item{"Artist": text(artist), "Title": text(title)} }

// test counts: an empty reason passes.
func test(name string, run func() error) {
	if err := run(); err != nil {
		failed++
		fmt.Printf("FAILED: %s: %v\n", name, err)
	} else {
		passed++
	}
}

func same(got, expected interface{}) error {
	if reflect.DeepEqual(got, expected) {
		return nil
	}
	return fmt.Errorf("got %v, expected %v", got, expected)
}

func createTable() error {
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("Artist"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("Title"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("Year"), AttributeType: types.ScalarAttributeTypeN}},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("Artist"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("Title"), KeyType: types.KeyTypeRange}},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String("ByYear"), Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
			KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("Year"), KeyType: types.KeyTypeHash}}}}})
	if err != nil {
		return err
	}
	return dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: table}, time.Minute)
}

func putGetUpdate() error {
	put := song("Nina", "Sinnerman")
	put["Year"] = number("1965")
	put["Cover"] = &types.AttributeValueMemberB{Value: []byte{0, 1, 255}}
	put["Tags"] = &types.AttributeValueMemberSS{Value: []string{"a", "b"}}
	put["Takes"] = &types.AttributeValueMemberL{Value: []types.AttributeValue{
		&types.AttributeValueMemberM{Value: item{"ü": &types.AttributeValueMemberBOOL{Value: true}}}, &types.AttributeValueMemberNULL{Value: true}}}
	if _, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: put}); err != nil {
		return err
	}
	got, err := client.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: song("Nina", "Sinnerman"), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return err
	}
	if err := same(got.Item, put); err != nil {
		return err
	}
	updated, err := client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: table, Key: song("Nina", "Sinnerman"), UpdateExpression: aws.String("ADD Plays :n"),
		ExpressionAttributeValues: item{":n": number("2")}, ReturnValues: types.ReturnValueUpdatedNew})
	if err != nil {
		return err
	}
	return same(updated.Attributes, item{"Plays": number("2")})
}

func conditionFails() error {
	_, err := client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: table, Item: song("Nina", "Sinnerman"), ConditionExpression: aws.String("attribute_not_exists(Artist)")})
	var typed *types.ConditionalCheckFailedException
	if !errors.As(err, &typed) {
		return fmt.Errorf("not refused as it should be: %v", err)
	}
	return same(typed.ErrorMessage(), "The conditional request failed")
}

func noSuchTable() error {
	_, err := client.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("None")})
	var typed *types.ResourceNotFoundException
	if !errors.As(err, &typed) {
		return fmt.Errorf("not refused as it should be: %v", err)
	}
	return nil
}

func batchesAndPages() error {
	for from := 0; from < 100; from += 25 {
		var requests []types.WriteRequest
		for i := from; i < from+25; i++ {
			put := song("Bach", fmt.Sprintf("BWV %03d", i))
			put["Year"] = number(strconv.Itoa(1700 + i%4))
			requests = append(requests, types.WriteRequest{PutRequest: &types.PutRequest{Item: put}})
		}
		if _, err := client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{*table: requests}}); err != nil {
			return err
		}
	}
	var titles []string
	pages := dynamodb.NewQueryPaginator(client, &dynamodb.QueryInput{
		TableName: table, Limit: aws.Int32(15), KeyConditionExpression: aws.String("Artist = :a"), ExpressionAttributeValues: item{":a": text("Bach")}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, found := range page.Items {
			titles = append(titles, found["Title"].(*types.AttributeValueMemberS).Value)
		}
	}
	if len(titles) != 100 || titles[0] != "BWV 000" || titles[99] != "BWV 099" {
		return fmt.Errorf("wrong pages: %v", titles)
	}
	index, err := client.Query(ctx, &dynamodb.QueryInput{
		TableName: table, IndexName: aws.String("ByYear"), KeyConditionExpression: aws.String("#y = :y"), Select: types.SelectCount,
		ExpressionAttributeNames: map[string]string{"#y": "Year"}, ExpressionAttributeValues: item{":y": number("1702")}})
	if err != nil {
		return err
	}
	return same(index.Count, int32(25))
}

func scanAndBatchGet() error {
	count := 0
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: table, Limit: aws.Int32(30)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		count += len(page.Items)
	}
	got, err := client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		*table: {Keys: []item{song("Bach", "BWV 001"), song("Bach", "BWV 002"), song("Bach", "none")}}}})
	if err != nil {
		return err
	}
	return same([]int{count, len(got.Responses[*table])}, []int{101, 2})
}

func transactions() error {
	counter := song("T", "1")
	_, err := client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: table, Item: counter}},
		{Delete: &types.Delete{TableName: table, Key: song("Bach", "BWV 001")}}}})
	if err != nil {
		return err
	}
	_, err = client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: table, Item: song("T", "2")}},
		{ConditionCheck: &types.ConditionCheck{TableName: table, Key: counter, ConditionExpression: aws.String("attribute_exists(Nothing)")}}}})
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return fmt.Errorf("not refused as it should be: %v", err)
	}
	return same(*cancelled.CancellationReasons[1].Code, "ConditionalCheckFailed")
}

func deleteTable() error {
	if _, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: table}); err != nil {
		return err
	}
	wait := dynamodb.NewTableNotExistsWaiter(client)
	if err := wait.Wait(ctx, &dynamodb.DescribeTableInput{TableName: table}, time.Minute); err != nil {
		return err
	}
	tables, err := client.ListTables(ctx, &dynamodb.ListTablesInput{})
	if err != nil {
		return err
	}
	return same(len(tables.TableNames), 0)
}

func main() {
	test("CreateTable and its waiter", createTable)
	test("PutItem, GetItem, UpdateItem", putGetUpdate)
	test("a condition that is not true", conditionFails)
	test("no such table", noSuchTable)
	test("batches and pages", batchesAndPages)
	test("Scan and BatchGetItem", scanAndBatchGet)
	test("transactions", transactions)
	test("DeleteTable and its waiter", deleteTable)
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
