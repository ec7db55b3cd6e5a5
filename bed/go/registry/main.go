// registry is distribution's registry in one process with a realm that gives tokens, for the tests of oci:// sources.
//
//	registry ADDRESS CERTIFICATE KEY DIRECTORY USER:PASSWORD
//
// Whoever knows USER and PASSWORD may pull and push everything; whoever does not may pull what begins with "open/".
// Only the storage driver "filesystem" is linked: the others bring the libraries of every cloud.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	service   = "bed"
	keyID     = "bed"
	tokenLife = 5 * time.Minute
	open      = "open/"
)

type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

type realm struct {
	signer jose.Signer
	login  string
}

func main() {
	if len(os.Args) != 6 {
		log.Fatal("usage: registry ADDRESS CERTIFICATE KEY DIRECTORY USER:PASSWORD")
	}
	address, certificate, key, directory := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	tokens, keys, err := newRealm(directory, os.Args[5])
	if err != nil {
		log.Fatal(err)
	}
	config := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem": {"rootdirectory": filepath.Join(directory, "storage")},
			"delete":     {"enabled": true},
		},
		Auth: configuration.Auth{"token": {
			"realm": "https://" + address + "/token", "service": service, "issuer": service, "jwks": keys,
			"autoredirect": true, "autoredirectpath": "/token",
		}},
	}
	config.HTTP.Secret = rand.Text()
	config.Catalog.MaxEntries = 100
	config.Log.Level = "warn"
	mux := http.NewServeMux()
	mux.Handle("/token", tokens)
	mux.Handle("/", handlers.NewApp(context.Background(), config))
	log.Fatal(http.ListenAndServeTLS(address, certificate, key, mux))
}

// newRealm makes the key that tokens are signed with, and the file by which the registry knows it.
func newRealm(directory, login string) (*realm, string, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	signing := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: keyID}}
	signer, err := jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, "", err
	}
	public := jose.JSONWebKey{Key: private.Public(), KeyID: keyID, Algorithm: string(jose.ES256), Use: "sig"}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(directory, "keys.json")
	return &realm{signer, login}, file, os.WriteFile(file, text, 0o600)
}

// ServeHTTP gives a token for what is asked and allowed: https://distribution.github.io/distribution/spec/auth/token/
func (r *realm) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	user, password, named := request.BasicAuth()
	known := named && subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(r.login)) == 1
	if named && !known {
		http.Error(w, "nobody of this name and password", http.StatusUnauthorized)
		return
	}
	now := time.Now()
	claims := struct {
		jwt.Claims
		Access []access `json:"access"`
	}{
		jwt.Claims{
			Issuer: service, Subject: user, Audience: jwt.Audience{service}, IssuedAt: jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now.Add(-time.Minute)), Expiry: jwt.NewNumericDate(now.Add(tokenLife)),
		},
		allowed(request.URL.Query()["scope"], known),
	}
	token, err := jwt.Signed(r.signer).Claims(claims).Serialize()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": int(tokenLife.Seconds())})
}

func allowed(scopes []string, known bool) []access {
	found := []access{}
	for _, scope := range scopes {
		parts := strings.SplitN(scope, ":", 3)
		if len(parts) == 3 && known {
			found = append(found, access{parts[0], parts[1], strings.Split(parts[2], ",")})
		} else if len(parts) == 3 && parts[0] == "repository" && strings.HasPrefix(parts[1], open) {
			found = append(found, access{parts[0], parts[1], []string{"pull"}})
		}
	}
	return found
}
