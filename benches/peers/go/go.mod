module dscore-bench-peer

go 1.21

require (
	github.com/google/uuid v1.6.0
	github.com/lxzan/gws v1.8.9
)

require (
	github.com/dolthub/maphash v0.1.0 // indirect
	github.com/klauspost/compress v1.17.9 // indirect
)
