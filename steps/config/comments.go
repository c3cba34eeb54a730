package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"reflect"
	"regexp"
	"strings"
	"unicode"
)

// Comments are the comments of structs and their fields: "settings.Config",
// "settings.Config.Mode".
type Comments map[string]string

// ReadComments reads them out of Go files. Fields that follow one another without a
// line between them share the comment of the first.
func ReadComments(files fs.FS) (Comments, error) {
	comments := Comments{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if types, ok := decl.(*ast.GenDecl); ok && types.Tok == token.TYPE {
				comments.types(set, file.Name.Name, types)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the comments of the configuration: %w", err)
	}
	return comments, nil
}

// types adds the comments of structs.
func (c Comments) types(set *token.FileSet, pkg string, decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		spec, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		doc := spec.Doc
		if doc == nil {
			doc = decl.Doc
		}
		name := pkg + "." + spec.Name.Name
		c[name] = oneLine(doc.Text())
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		last, end := "", 0
		for _, field := range fields.Fields.List {
			doc := oneLine(field.Doc.Text())
			if doc == "" {
				doc = oneLine(field.Comment.Text())
			}
			if doc == "" && set.Position(field.Pos()).Line == end+1 {
				doc = last
			}
			for _, ident := range field.Names {
				c[name+"."+ident.Name] = doc
			}
			last, end = doc, set.Position(field.End()).Line
		}
	}
}

// oneLine is a comment without its line breaks.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// word is a name of Go in a comment.
var word = regexp.MustCompile(`\b[A-Z][A-Za-z]*\b`)

// of is the comment of a struct's field, or of the struct, in the words of a file: a
// field is called by its key.
func (c Comments) of(t reflect.Type, field, key string) string {
	id := path.Base(t.PkgPath()) + "." + t.Name()
	if field == "" {
		return c[id]
	}
	text := c[id+"."+field]
	keys := map[string]string{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
		if name != "" && name != "-" {
			keys[t.Field(i).Name] = name
		}
	}
	if first, rest, _ := strings.Cut(text, " "); first == field {
		text = key + " " + rest
	} else if keys[first] != "" {
		text = keys[first] + " " + rest
	}
	return word.ReplaceAllStringFunc(text, func(name string) string {
		if known := keys[name]; known != "" && strings.IndexFunc(name[1:], unicode.IsUpper) >= 0 && strings.ToUpper(name) != name {
			return known
		}
		return name
	})
}
