package queue

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed says that no more work is taken.
var ErrClosed = errors.New("queue: closed")

// Job is one piece of work.
type Job[T any] struct {
	Payload T
	Retries int
}

// Queue hands jobs to workers.
type Queue[T any] struct {
	mu     sync.Mutex
	jobs   []Job[T]
	closed bool
}

// Push puts a job at the end.
func (q *Queue[T]) Push(payload T) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	q.jobs = append(q.jobs, Job[T]{Payload: payload})
	return nil
}

func (q *Queue[T]) Pop() (Job[T], bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) == 0 {
		return Job[T]{}, false
	}
	job := q.jobs[0]
	q.jobs = q.jobs[1:]
	return job, true
}

func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
}

func Map[T, R any](items []T, change func(T) R) []R {
	changed := make([]R, 0, len(items))
	for _, item := range items {
		changed = append(changed, change(item))
	}
	return changed
}

func Run(ctx context.Context, workers int, work func(int) error) (err error) {
	var group sync.WaitGroup
	for index := 0; index < workers; index++ {
		group.Add(1)
		go func(index int) {
			defer group.Done()
			if e := work(index); e != nil {
				err = e
			}
		}(index)
	}
	group.Wait()
	return err
}

func usage() string {
	return `usage:
  queue [flags]
	-n  how many
`
}
