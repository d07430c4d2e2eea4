package transport

import (
	"net/http"
	"reflect"
)

// An installation is where Install has put a Transport. Both of them may be set up further until the first request, as
// http.DefaultTransport is by a main behind package auto.
type installation struct {
	in           *http.Transport
	theirs, ours map[string]any // what tells of each field whether it was changed since
}

// newInstallation notes the fields of both. Nothing tells one function from another that has the same code, as the DialContext of two
// net.Dialers has: so ours are wrapped until then, and one that is not is another.
func newInstallation(in *http.Transport, own *Transport) *installation {
	v, theirs := reflect.ValueOf(own).Elem(), marksOf(in)
	for name := range theirs {
		if f := v.FieldByName(name); f.Kind() == reflect.Func && !f.IsNil() {
			f.Set(reflect.MakeFunc(f.Type(), reflect.ValueOf(f.Interface()).Call))
		}
	}
	return &installation{in: in, theirs: theirs, ours: marksOf(own)}
}

// settle brings a copy of own's settings up to date: what was changed in the http.Transport since Install counts, unless it was in own.
func (i *installation) settle(own, settings *Transport) {
	theirs, ours := marksOf(i.in), marksOf(own)
	now, to := reflect.ValueOf(fieldsOf(i.in).Clone()).Elem(), reflect.ValueOf(settings).Elem()
	for name, was := range i.ours {
		f := to.FieldByName(name)
		if ours[name] == was && (f.Kind() == reflect.Func || theirs[name] != i.theirs[name]) {
			f.Set(now.FieldByName(name))
		}
	}
}

// marksOf returns what tells of each field of an http.Transport, or of ours that has the same, whether it was changed: where it points to,
// or its value.
func marksOf[T http.Transport | Transport](t *T) map[string]any {
	marks := map[string]any{}
	fields, v := reflect.TypeFor[http.Transport](), reflect.ValueOf(t).Elem()
	for i := range fields.NumField() {
		if !fields.Field(i).IsExported() {
			continue
		}
		name := fields.Field(i).Name
		switch f := v.FieldByName(name); f.Kind() {
		case reflect.Func, reflect.Map, reflect.Pointer:
			marks[name] = f.Pointer()
		default:
			marks[name] = f.Interface()
		}
	}
	return marks
}
