// oras-go as the oras CLI uses it, for measuring beside: `copy SRC DST` as `oras cp --recursive --plain-http` does it, and
// `tag REF TAG…` as `oras tag --plain-http`. The CLI itself is a program that no module proxy builds.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"
)

func main() {
	args := os.Args[1:]
	var root ocispec.Descriptor
	var err error
	switch {
	case len(args) == 3 && args[0] == "copy":
		root, err = copyAll(context.Background(), args[1], args[2])
	case len(args) >= 3 && args[0] == "tag":
		target := repository(args[1])
		root, err = oras.TagN(context.Background(), target, target.Reference.Reference, args[2:], oras.DefaultTagNOptions)
	default:
		log.Fatal("usage: oras-peer copy SOURCE TARGET | oras-peer tag REFERENCE TAG…")
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(root.Digest)
}

// repository is one client for one repository, without the deletion of old fallback indexes, as the CLI has it.
func repository(reference string) *remote.Repository {
	repo, err := remote.NewRepository(reference)
	if err != nil {
		log.Fatal(err)
	}
	repo.PlainHTTP = true
	repo.SkipReferrersGC = true
	repo.Client = &auth.Client{Client: &http.Client{Transport: retry.NewTransport(nil)}, Cache: auth.NewCache()}
	return repo
}

// copyAll copies an artifact with its referrers and those of its platforms, mounting within a registry.
func copyAll(ctx context.Context, from, to string) (ocispec.Descriptor, error) {
	src, dst := repository(from), repository(to)
	options := oras.DefaultExtendedCopyOptions
	if src.Reference.Registry == dst.Reference.Registry && src.Reference.Repository != dst.Reference.Repository {
		options.MountFrom = func(context.Context, ocispec.Descriptor) ([]string, error) {
			return []string{src.Reference.Repository}, nil
		}
	}
	root, err := oras.Resolve(ctx, src, src.Reference.Reference, oras.DefaultResolveOptions)
	if err != nil {
		return root, err
	}
	if err := oras.ExtendedCopyGraph(ctx, src, dst, root, options.ExtendedCopyGraphOptions); err != nil {
		return root, err
	}
	if err := copyChildrenReferrers(ctx, src, dst, root, options.ExtendedCopyGraphOptions); err != nil {
		return root, err
	}
	return root, dst.Tag(ctx, root, dst.Reference.Reference)
}

// copyChildrenReferrers copies what hangs on the platforms of an index.
func copyChildrenReferrers(ctx context.Context, src, dst *remote.Repository, root ocispec.Descriptor,
	options oras.ExtendedCopyGraphOptions) error {
	if root.MediaType != ocispec.MediaTypeImageIndex &&
		root.MediaType != "application/vnd.docker.distribution.manifest.list.v2+json" {
		return nil
	}
	bytes, err := content.FetchAll(ctx, src, root)
	if err != nil {
		return err
	}
	var index ocispec.Index
	if err := json.Unmarshal(bytes, &index); err != nil {
		return err
	}
	for _, child := range index.Manifests {
		referrers, err := src.Predecessors(ctx, child)
		if err != nil {
			return err
		}
		for _, referrer := range referrers {
			if err := oras.ExtendedCopyGraph(ctx, src, dst, referrer, options); err != nil {
				return err
			}
		}
	}
	return nil
}
