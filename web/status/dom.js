// Small things that every part of the page is made with.

export function tableRow(labels, classes) {
  // Narrow screens show the rows as cards, and browsers then forget that this is a table.
  const row = element('tr')
  row.role = 'row'
  labels.forEach((label, index) => {
    const cell = element(index === 0 ? 'th' : 'td', element('span'))
    cell.role = index === 0 ? 'rowheader' : 'cell'
    if (index === 0) cell.scope = 'row'
    else cell.dataset.label = label
    if (classes[index] !== '') cell.className = classes[index]
    row.append(cell)
  })
  return row
}

/** Text only: nothing that a node says is ever read as HTML. */
export function put(node, words) {
  if (node.textContent !== words || node.firstElementChild !== null) node.textContent = words
}

export function element(name, ...children) {
  const made = document.createElement(name)
  made.append(...children)
  return made
}

export function resize(list, length, make) {
  while (list.children.length > length) list.lastElementChild.remove()
  while (list.children.length < length) list.append(make())
}
