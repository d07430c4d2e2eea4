//go:build linux

package ecosystem_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// s3Client returns a client of the AWS SDK that sends its requests through tr. What counts is HTTPClient; with the package config it
// is config.WithHTTPClient. The SDK's own client follows no redirects, so ours does not either.
func s3Client(tr *transport.Transport, endpoint string) *s3.Client {
	return s3.New(s3.Options{
		HTTPClient: &http.Client{
			Transport:     tr,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		BaseEndpoint: aws.String(endpoint),
		UsePathStyle: true,
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
}

// s3Server starts a server that speaks S3, with an empty bucket.
func s3Server(t *testing.T) (endpoint string) {
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("bucket"))
	server := httptest.NewUnstartedServer(gofakes3.New(backend).Server())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of a range that is not read to its end it says so twice
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func put(t *testing.T, client *s3.Client, key string, content []byte) {
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: &key, Body: bytes.NewReader(content)})
	require.NoError(t, err)
}

// Objects are put, listed, read and deleted over one connection.
func TestS3(t *testing.T) {
	endpoint := s3Server(t)
	tr := leaktest.NewTransport(t)
	client := s3Client(tr, endpoint)
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	put(t, client, "large", content)
	put(t, client, "small", content[:10])

	listed, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("bucket")})
	require.NoError(t, err)
	assert.Len(t, listed.Contents, 2)

	got, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("large")})
	require.NoError(t, err)
	read, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	require.NoError(t, got.Body.Close())
	assert.Equal(t, content, read)

	_, err = client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("none")})
	var none *types.NoSuchKey
	require.ErrorAs(t, err, &none)

	_, err = client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("bucket"), Key: aws.String("small")})
	require.NoError(t, err)
	assert.EqualValues(t, 1, tr.Stats().Dials)
	wantSockets(t, endpoint, 1)
}

// A multipart upload, its parts at once.
func TestS3Multipart(t *testing.T) {
	endpoint := s3Server(t)
	tr := leaktest.NewTransport(t)
	client := s3Client(tr, endpoint)
	bucket, key := aws.String("bucket"), aws.String("parts")
	begun, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	require.NoError(t, err)

	const parts, size = 4, 5 << 20
	done := make([]types.CompletedPart, parts)
	errs := make(chan error)
	for i := range parts {
		go func() {
			number := aws.Int32(int32(i + 1))
			part, err := client.UploadPart(t.Context(), &s3.UploadPartInput{
				Bucket: bucket, Key: key, UploadId: begun.UploadId, PartNumber: number,
				Body: bytes.NewReader(bytes.Repeat([]byte{byte('a' + i)}, size)),
			})
			if err == nil {
				done[i] = types.CompletedPart{ETag: part.ETag, PartNumber: number}
			}
			errs <- err
		}()
	}
	for range parts {
		require.NoError(t, <-errs)
	}
	_, err = client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: key, UploadId: begun.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	require.NoError(t, err)

	head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key})
	require.NoError(t, err)
	assert.EqualValues(t, parts*size, *head.ContentLength)
	s := tr.Stats()
	assert.LessOrEqual(t, s.Dials, int64(parts))
	wantSockets(t, endpoint, s.Idle)
}

// openRange begins to read a range and returns after its first bytes. Only the caller has the body then.
func openRange(t *testing.T, ctx context.Context, client *s3.Client, first, last int) io.ReadCloser {
	got, err := client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String("bucket"), Key: aws.String("large"), Range: aws.String(fmt.Sprintf("bytes=%d-%d", first, last)),
	})
	require.NoError(t, err)
	_, err = io.ReadFull(got.Body, make([]byte, 10))
	require.NoError(t, err)
	return got.Body
}

// Ranges that are read in part and closed cost no connection where little is left, and one each where much is; those that are read in
// part and dropped are found by the collector. No socket remains of either.
func TestS3RangesReadHalfWay(t *testing.T) {
	endpoint := s3Server(t)
	tr, leaks := dropping(t)
	client := s3Client(tr, endpoint)
	put(t, client, "large", bytes.Repeat([]byte("0123456789"), 2<<20))
	dials := tr.Stats().Dials

	for i := range 5 { // 100 kB is drained
		require.NoError(t, openRange(t, t.Context(), client, i*100_000, (i+1)*100_000-1).Close())
		wantSockets(t, endpoint, 1)
		assert.Eventually(t, func() bool { return tr.Stats().Idle == 1 }, patience, time.Millisecond)
	}
	assert.Equal(t, dials, tr.Stats().Dials)

	require.NoError(t, openRange(t, t.Context(), client, 0, 20<<20-1).Close()) // 20 MiB are not
	wantSockets(t, endpoint, 0)
	assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonUnread])

	for range 3 {
		openRange(t, t.Context(), client, 0, 20<<20-1)
		l := wantDropped(t, leaks)
		assert.Equal(t, endpoint+"/bucket/large", l.URL, "without the query")
		wantSockets(t, endpoint, 0)
	}

	ctx, cancel := context.WithCancel(t.Context())
	body := openRange(t, ctx, client, 0, 20<<20-1)
	cancel()
	_, err := io.Copy(io.Discard, body)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, body.Close())
	wantSockets(t, endpoint, 0)
}
