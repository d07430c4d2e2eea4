package transport

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"runtime"
	"time"
)

// WriteProfile writes a profile for go tool pprof of the response bodies that hold a connection now, by the stack of their request: how
// many there are, and the sum of their ages, with a label for the origin. Without RecordStacks many bodies have no stack: these are counted
// under a function whose name says so. Neither the program nor the process is needed to read the profile. The error is that of w.
//
//	f, err := os.Create("bodies.pb.gz")
//	...
//	err = t.WriteProfile(f) // go tool pprof -top bodies.pb.gz
//
// It is not a profile of runtime/pprof, since that keeps its values alive: a dropped body would not be found.
func (t *Transport) WriteProfile(w io.Writer) error {
	c := t.core.Load()
	if c == nil {
		return new(register).writeProfile(w)
	}
	return c.bodies.writeProfile(w)
}

// WriteProfile is [Transport.WriteProfile], for the bodies that OpenBodies tells of.
func (g *Guard) WriteProfile(w io.Writer) error { return g.register().writeProfile(w) }

func (r *register) writeProfile(w io.Writer) error {
	p := newProfile()
	for _, b := range r.snapshot() {
		p.add(framesOf(b.stack), b.url.Scheme+"://"+b.url.Host, time.Since(b.at))
	}
	zip := gzip.NewWriter(w)
	if _, err := zip.Write(p.out); err != nil {
		return err
	}
	return zip.Close()
}

// noStack is the function of bodies whose stack was not recorded.
const noStack = "stack not recorded: set RecordStacks"

// A profile is a message of pprof's profile.proto in the making. Of that it has what names functions and lines, and no addresses.
type profile struct {
	out       message
	strings   map[string]uint64
	functions map[[2]string]uint64   // by name and file
	locations map[profileLine]uint64 // by function and line
}

type profileLine struct{ function, line uint64 }

// Numbers of fields, by message.
const (
	profileSampleType    = 1
	profileSample        = 2
	profileLocation      = 4
	profileFunction      = 5
	profileStrings       = 6
	profileTime          = 9
	profileDefaultSample = 14

	valueType, valueUnit = 1, 2

	sampleLocations, sampleValues, sampleLabel = 1, 2, 3

	labelKey, labelText = 1, 2

	locationID, locationLine = 1, 4

	lineFunction, lineNumber = 1, 2

	functionID, functionName, functionSystemName, functionFile = 1, 2, 3, 4
)

func newProfile() *profile {
	p := &profile{strings: map[string]uint64{}, functions: map[[2]string]uint64{}, locations: map[profileLine]uint64{}}
	p.text("") // as the format wants
	for _, v := range [][2]string{{"bodies", "count"}, {"age", "nanoseconds"}} {
		var m message
		m.number(valueType, p.text(v[0]))
		m.number(valueUnit, p.text(v[1]))
		p.out.nested(profileSampleType, m)
	}
	p.out.number(profileDefaultSample, p.text("bodies"))
	p.out.number(profileTime, uint64(time.Now().UnixNano()))
	return p
}

// add adds one body.
func (p *profile) add(frames []runtime.Frame, origin string, age time.Duration) {
	if len(frames) == 0 {
		frames = []runtime.Frame{{Function: noStack}}
	}
	var label, sample message
	label.number(labelKey, p.text("origin"))
	label.number(labelText, p.text(origin))
	for _, f := range frames {
		sample.number(sampleLocations, p.location(f))
	}
	sample.number(sampleValues, 1)
	sample.number(sampleValues, uint64(age))
	sample.nested(sampleLabel, label)
	p.out.nested(profileSample, sample)
}

// text returns the number of a string.
func (p *profile) text(s string) uint64 {
	n, ok := p.strings[s]
	if !ok {
		n = uint64(len(p.strings))
		p.strings[s] = n
		p.out.nested(profileStrings, message(s))
	}
	return n
}

// location returns the number of a line in a function.
func (p *profile) location(f runtime.Frame) uint64 {
	at := profileLine{p.function(f), uint64(f.Line)}
	id, ok := p.locations[at]
	if !ok {
		id = uint64(len(p.locations) + 1)
		p.locations[at] = id
		var line, m message
		line.number(lineFunction, at.function)
		line.number(lineNumber, at.line)
		m.number(locationID, id)
		m.nested(locationLine, line)
		p.out.nested(profileLocation, m)
	}
	return id
}

func (p *profile) function(f runtime.Frame) uint64 {
	key := [2]string{f.Function, f.File}
	id, ok := p.functions[key]
	if !ok {
		id = uint64(len(p.functions) + 1)
		p.functions[key] = id
		var m message
		m.number(functionID, id)
		m.number(functionName, p.text(f.Function))
		m.number(functionSystemName, p.text(f.Function))
		m.number(functionFile, p.text(f.File))
		p.out.nested(profileFunction, m)
	}
	return id
}

// A message is one of protocol buffers, in their wire format.
type message []byte

// The types of fields.
const (
	wireNumber = 0
	wireBytes  = 2
)

func (m *message) number(field, n uint64) {
	*m = binary.AppendUvarint(*m, field<<3|wireNumber)
	*m = binary.AppendUvarint(*m, n)
}

func (m *message) nested(field uint64, inner message) {
	*m = binary.AppendUvarint(*m, field<<3|wireBytes)
	*m = binary.AppendUvarint(*m, uint64(len(inner)))
	*m = append(*m, inner...)
}
