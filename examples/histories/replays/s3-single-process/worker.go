package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/transport"
)

// The strategies of a pool.
const (
	lazy      = "lazily cleaned pool"
	closeIdle = "CloseIdleConnections"
	noPool    = "DisableKeepAlives"
	goodbye   = "Connection: close"
)

// A workerJob is what a worker is to do: one call.
type workerJob struct{ Strategy, Endpoint string }

// A result is what the call returned, and what a worker of ours knows of its pool afterwards.
type result struct {
	Bytes int64
	Error string
	Idle  int
}

// work is the process of a worker: it makes one call, and then waits for a request that never comes.
func work(p *history.Peer) error {
	var job workerJob
	if err := p.Receive(&job); err != nil {
		return err
	}
	rt := transportFor(job.Strategy)
	var r result
	var err error
	if r.Bytes, err = call(rt, job.Endpoint); err != nil {
		r.Error = err.Error()
	}
	if job.Strategy == closeIdle {
		(&http.Client{Transport: rt}).CloseIdleConnections()
	}
	if t, ok := rt.(*transport.Transport); ok {
		r.Idle = t.Stats().Idle
	}
	if err := p.Send(r); err != nil {
		return err
	}
	return p.Wait()
}

func transportFor(strategy string) http.RoundTripper {
	switch strategy {
	case lazy:
		return newLazyPool()
	case history.Std:
		return http.DefaultTransport.(*http.Transport).Clone()
	}
	t := transport.New()
	t.DisableKeepAlives = strategy == noPool
	return t
}

// call reads the object as a program does that uses the SDK.
func call(rt http.RoundTripper, endpoint string) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client := s3.New(s3.Options{
		BaseEndpoint: &endpoint,
		UsePathStyle: true,
		Region:       "eu-central-1",
		HTTPClient:   &http.Client{Transport: rt},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "nobody", SecretAccessKey: "nothing"}, nil
		}),
	})
	object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		return 0, err
	}
	defer func() { _ = object.Body.Close() }()
	return io.Copy(io.Discard, object.Body)
}
